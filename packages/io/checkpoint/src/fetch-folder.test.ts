import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import {
  FileChangedError,
  FileMissingError,
  FileReadError,
  FileWriteError,
  UnsafePathError,
} from './errors.ts';
import { fetchFolder } from './fetch-folder.ts';
import { openWeights } from './model-folder.ts';
import { encodeSafetensors } from './safetensors-writer.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function serve(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  server = createServer(handle);
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/models/tiny`;
}

interface Site {
  files: Record<string, Uint8Array>;
  ranges?: boolean;
  etag?: string;
}

function site(state: Site, log: string[] = []) {
  return (request: IncomingMessage, response: ServerResponse) => {
    log.push(`${request.url} ${request.headers.range ?? 'whole'}`);
    const bytes =
      state.files[decodeURIComponent(request.url!.replace(/\?.*/, '').replace('/models/tiny/', ''))];
    if (!bytes) return response.writeHead(404).end();
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (state.etag) response.setHeader('etag', state.etag);
    if (!range || state.ranges === false) return response.writeHead(200).end(bytes);
    const from = Number(range[1]);
    const to = Math.min(Number(range[2]), bytes.length - 1);
    if (from > to) return response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
    const headers = { 'content-range': `bytes ${from}-${to}/${bytes.length}` };
    return response.writeHead(206, headers).end(bytes.subarray(from, to + 1));
  };
}

const large = Float32Array.from({ length: 100_000 }, (_, i) => i);
const model = () => ({
  'model.safetensors': encodeSafetensors({
    large: { shape: [large.length], data: large },
    small: { shape: [2], data: Float32Array.of(1, 2) },
  }),
});

test.each([true, false])('weights, where the server answers ranges: %s', async (ranges) => {
  const log: string[] = [];
  const url = await serve(site({ files: model(), ranges }, log));
  const weights = await openWeights(fetchFolder(url));
  expect(Array.from(await weights.readFloat32('small'))).toEqual([1, 2]);
  expect(await weights.readFloat32('large')).toEqual(large);
  const requests = log.map((line) => line.split(' ')[1]);
  const place = weights.tensors.get('large')!;
  expect(requests).toEqual(
    ranges
      ? [
          'bytes=0-0',
          'bytes=0-65535',
          `bytes=${place.byteOffset + place.byteLength}-${place.byteOffset + place.byteLength + 7}`,
          `bytes=${place.byteOffset}-${place.byteOffset + place.byteLength - 1}`,
        ]
      : ['bytes=0-0', 'bytes=0-65535'],
  );
});

test('a header within the first range costs no further request', async () => {
  const log: string[] = [];
  const url = await serve(site({ files: model() }, log));
  await (await fetchFolder(url).open('model.safetensors')).read(0, 1000);
  expect(log).toEqual(['/models/tiny/model.safetensors bytes=0-65535']);
});

test('small and empty files, sub-folders, odd names, a query, headers', async () => {
  const seen: (string | undefined)[] = [];
  const inner = site({
    files: { 'a b#?.txt': new TextEncoder().encode('hi'), 'sub/empty': new Uint8Array() },
  });
  const url = await serve((request, response) => {
    seen.push(request.headers.authorization, new URL(request.url!, 'http://x').search);
    inner(request, response);
  });
  const folder = fetchFolder(`${url}?token=secret`, {
    headers: { Authorization: 'Bearer key' },
    files: ['b', 'a'],
  });
  expect(await folder.readText('a b#?.txt')).toBe('hi');
  expect(await (await folder.folder('sub').open('empty')).size()).toBe(0);
  expect(await folder.list()).toEqual(['a', 'b']);
  expect(new Set(seen)).toEqual(new Set(['Bearer key', '?token=secret']));
  const error = await folder.open('missing').catch((reason: unknown) => reason as Error);
  expect(error).toBeInstanceOf(FileMissingError);
  expect((error as Error).message).not.toMatch(/secret|key/);
});

test('what is not there: 404, and a start page in its place', async () => {
  const url = await serve((request, response) => {
    if (request.url!.includes('page')) response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
    else response.writeHead(404).end();
  });
  const folder = fetchFolder(url);
  expect(await folder.has('nothing.json')).toBe(false);
  expect(await folder.has('page.json')).toBe(false);
  await expect(folder.open('page.json')).rejects.toThrow(FileMissingError);
});

test('a server that refuses, breaks off or is not there', async () => {
  const url = await serve((request, response) => {
    if (request.url!.endsWith('gated')) response.writeHead(401).end();
    else if (request.url!.endsWith('broken')) response.writeHead(500).end();
    else {
      response.writeHead(200, { 'content-length': '100' }).write('half');
      setTimeout(() => response.destroy(), 20);
    }
  });
  const folder = fetchFolder(url);
  await expect(folder.has('gated')).rejects.toThrow('Give a token');
  await expect(folder.open('broken')).rejects.toThrow('answered 500');
  await expect(folder.open('cut')).rejects.toThrow('the connection broke');
  server!.closeAllConnections();
  server!.close();
  await expect(folder.open('cut')).rejects.toThrow('could not be reached');
  await expect(folder.open('cut')).rejects.toThrow(FileReadError);
});

test('a file that changes on the server while it is read', async () => {
  const state: Site = { files: model(), etag: '"one"' };
  const folder = fetchFolder(await serve(site(state)));
  const weights = await openWeights(folder);
  state.etag = '"two"';
  await expect(weights.read('large')).rejects.toThrow(FileChangedError);
  state.etag = '"one"';
  state.files['model.safetensors'] = new Uint8Array(500_000);
  await expect(weights.read('large')).rejects.toThrow(FileChangedError);
});

test('a whole file above the limit is not read', async () => {
  const url = await serve(site({ files: model(), ranges: false }));
  await expect(fetchFolder(url, { maxWholeFileBytes: 1000 }).open('model.safetensors')).rejects.toThrow(
    'more than the 1000 bytes allowed',
  );
});

test('it is read-only and never leaves its folder', async () => {
  const folder = fetchFolder('http://127.0.0.1:1/models/tiny');
  await expect(folder.writeAtomic('x', new Uint8Array())).rejects.toThrow(FileWriteError);
  await expect(folder.remove('x')).rejects.toThrow(FileWriteError);
  expect(folder.rename).toBeUndefined();
  for (const name of ['../x', '/x', 'http://other/x', 'a/../../x']) {
    expect(() => folder.folder(name)).toThrow(UnsafePathError);
    await expect(Promise.resolve().then(() => folder.open(name))).rejects.toThrow(UnsafePathError);
  }
});

test('an abort is the abort, not a network error', async () => {
  const url = await serve(() => {});
  const signal = AbortSignal.timeout(30);
  await expect(fetchFolder(url, { signal }).open('x')).rejects.toMatchObject({ name: 'TimeoutError' });
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FolderLockedError } from './errors.ts';
import { lockFolder } from './lock.node.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'graft-lock-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test('one at a time, and free again after release', async () => {
  const lock = await lockFolder(join(root, 'new'));
  const error = await lockFolder(join(root, 'new')).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(FolderLockedError);
  expect(error).toMatchObject({ pid: process.pid, host: hostname() });
  await lock.release();
  const next = await lockFolder(join(root, 'new'));
  await lock.release();
  expect(existsSync(join(root, 'new/.graft.lock'))).toBe(true);
  await next.release();
  expect(readdirSync(join(root, 'new'))).toEqual([]);
});

test('of many at once exactly one gets it', async () => {
  writeFileSync(join(root, '.graft.lock'), 'cut sho');
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(root)));
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  expect(readdirSync(root)).toEqual(['.graft.lock']);
});

test('the lock of a living process holds, that of a killed one is taken over', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  writeFileSync(join(root, '.graft.lock'), JSON.stringify({ pid: child.pid, host: hostname() }));
  await expect(lockFolder(root)).rejects.toMatchObject({ pid: child.pid });
  child.kill('SIGKILL');
  await once(child, 'close');
  await (await lockFolder(root)).release();
});

test("another machine's lock is never taken over", async () => {
  writeFileSync(join(root, '.graft.lock'), JSON.stringify({ pid: 2 ** 30, host: 'elsewhere' }));
  await expect(lockFolder(root)).rejects.toThrow('on "elsewhere" is writing to this folder');
});

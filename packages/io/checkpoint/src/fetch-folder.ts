import {
  CheckpointError,
  FileChangedError,
  FileMissingError,
  FileReadError,
  FileWriteError,
} from './errors.ts';
import {
  allocate,
  checkName,
  checkRange,
  type FileSource,
  type Folder,
  memoryFile,
  readAllText,
} from './folder.ts';

export interface FetchFolderOptions {
  /** @default globalThis.fetch */
  readonly fetch?: typeof fetch;
  /** Sent with every request, for example an `Authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** What `list()` answers: HTTP cannot list a folder. */
  readonly files?: readonly string[];
  /** The largest file that is read whole where the server does not answer ranges, in bytes. @default 2 GiB */
  readonly maxWholeFileBytes?: number;
}

/**
 * A folder behind HTTP, read-only: files by range requests, or whole where the server does not answer
 * them. A missing file that a development server answers with its start page counts as missing.
 * @param baseUrl the folder's address; relative ones are resolved against the page's
 */
export function fetchFolder(baseUrl: string | URL, options: FetchFolderOptions = {}): Folder {
  const page = (globalThis as { location?: { href: string } }).location?.href;
  const base = new URL(baseUrl, page);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  // Secrets in a query or in the user part stay out of messages.
  const location = base.origin + base.pathname.slice(0, -1);
  const urlOf = (name: string) => {
    const url = new URL(checkName(location, name).split('/').map(encodeURIComponent).join('/'), base);
    url.search = base.search;
    return url;
  };
  const readOnly = async (name: string): Promise<never> => {
    throw new FileWriteError(`${location}/${name}`, 'a web address cannot be written to', 'Save elsewhere');
  };

  const folder: Folder = {
    location,

    async list() {
      return [...(options.files ?? [])].sort();
    },

    async has(name) {
      try {
        // Not a HEAD request, which many servers of single files do not answer.
        const response = await request(urlOf(name), `${location}/${name}`, options, 'bytes=0-0');
        await response.body?.cancel();
        return true;
      } catch (error) {
        if (error instanceof FileMissingError) return false;
        throw error;
      }
    },

    open: (name) => openUrl(urlOf(name), `${location}/${name}`, options),

    async readText(name, maxBytes) {
      return readAllText(await folder.open(name), maxBytes);
    },

    folder(name) {
      const url = urlOf(name);
      url.pathname += '/';
      return fetchFolder(url, { ...options, files: [] });
    },

    writeAtomic: readOnly,
    remove: readOnly,
  };
  return folder;
}

/** The first request brings this much: often the whole of a small file, or the header of a large one. */
const FIRST_BYTES = 64 * 1024;
const MAX_WHOLE_FILE_BYTES = 2 ** 31;

async function openUrl(url: URL, name: string, options: FetchFolderOptions): Promise<FileSource> {
  const response = await request(url, name, options, `bytes=0-${FIRST_BYTES - 1}`);
  // 416 is the answer to a range of an empty file.
  if (response.status === 416) return memoryFile(name, new Uint8Array());
  if (response.status !== 206) return memoryFile(name, await wholeBody(response, name, options));
  const start = await body(response, name, FIRST_BYTES);
  const size = totalSize(response) ?? (start.byteLength < FIRST_BYTES ? start.byteLength : undefined);
  if (size === undefined || start.byteLength !== Math.min(size, FIRST_BYTES)) {
    // Across origins the total is often hidden: then the whole file it is.
    const whole = await request(url, name, options);
    return memoryFile(name, await wholeBody(whole, name, options));
  }
  const version = response.headers.get('etag');
  return {
    name,
    size: async () => size,
    async read(offset, length) {
      checkRange(name, size, offset, length);
      if (offset + length <= start.byteLength) return start.slice(offset, offset + length);
      const part = await request(url, name, options, `bytes=${offset}-${offset + length - 1}`);
      const now = part.headers.get('etag');
      const total = totalSize(part) ?? size;
      if (part.status !== 206 || total !== size || (version !== null && now !== null && now !== version)) {
        await part.body?.cancel();
        throw new FileChangedError(
          name,
          'the file changed on the server while it was being read',
          'Open it again',
        );
      }
      const bytes = await body(part, name, length);
      if (bytes.byteLength !== length) {
        throw new FileReadError(
          name,
          `the server sent ${bytes.byteLength} bytes where ${length} were asked for`,
          'Try again',
        );
      }
      return bytes;
    },
  };
}

async function request(
  url: URL,
  name: string,
  options: FetchFolderOptions,
  range?: string,
): Promise<Response> {
  const headers = { ...options.headers, ...(range === undefined ? {} : { Range: range }) };
  let response: Response;
  try {
    response = await (options.fetch ?? fetch)(url, {
      headers,
      ...(options.signal ? { signal: options.signal } : {}),
    });
  } catch (cause) {
    if (isAbort(cause)) throw cause;
    throw new FileReadError(name, 'the server could not be reached', 'Check the address and the network', {
      cause,
    });
  }
  if (response.ok || response.status === 416) {
    if (!startPageInstead(response, name)) return response;
    await response.body?.cancel();
    throw missing(name);
  }
  await response.body?.cancel();
  if (response.status === 404 || response.status === 410) throw missing(name);
  const denied = response.status === 401 || response.status === 403;
  throw new FileReadError(
    name,
    `the server answered ${response.status}`,
    denied ? 'Give a token that may read it' : 'Try again later',
  );
}

function startPageInstead(response: Response, name: string): boolean {
  const html = response.headers.get('content-type')?.startsWith('text/html') ?? false;
  return html && !/\.html?$/.test(name);
}

async function wholeBody(response: Response, name: string, options: FetchFolderOptions): Promise<Uint8Array> {
  return body(response, name, options.maxWholeFileBytes ?? MAX_WHOLE_FILE_BYTES);
}

/** Counted while it arrives: a server need not announce the length, and may unpack to more than it announced. */
async function body(response: Response, name: string, limit: number): Promise<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return new Uint8Array();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      if (isAbort(cause)) throw cause;
      throw new FileReadError(name, 'the connection broke while the file was being read', 'Try again', {
        cause,
      });
    });
    if (done) break;
    parts.push(value);
    length += value.byteLength;
    if (length > limit || Number(response.headers.get('content-length') ?? 0) > limit) {
      await reader.cancel();
      throw new CheckpointError(
        name,
        `the server sends the whole file, which is more than the ${limit} bytes allowed`,
        'Serve it with range requests, or download it first',
      );
    }
  }
  const bytes = allocate(name, length);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.byteLength;
  }
  return bytes;
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError');
}

function totalSize(response: Response): number | undefined {
  const match = /^bytes (?:\d+-\d+|\*)\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  return match ? Number(match[1]) : undefined;
}

function missing(name: string): FileMissingError {
  return new FileMissingError(name, 'the file does not exist', 'Check the address');
}

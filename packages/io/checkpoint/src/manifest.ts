import { JsonFileError, NewerFormatError } from './errors.ts';
import { checkName, type Folder } from './folder.ts';
import { type JsonObject, readJsonObject } from './json-file.ts';
import { type FileDigest, PIECE_BYTES } from './piece-hash.ts';

export const MANIFEST = 'manifest.json';
const FORMAT = 'graft-checkpoint';
const VERSION = 1;

/** What a training checkpoint consists of. Written last, it is what makes the checkpoint whole. */
export interface Manifest {
  /** Optimizer steps done. */
  readonly step: number;
  readonly files: ReadonlyMap<string, FileDigest>;
  /** Bytes that each hash covers. */
  readonly pieceBytes: number;
}

export function encodeManifest(step: number, files: ReadonlyMap<string, FileDigest>): Uint8Array {
  const text = JSON.stringify(
    { format: FORMAT, version: VERSION, step, pieceBytes: PIECE_BYTES, files: Object.fromEntries(files) },
    null,
    2,
  );
  return new TextEncoder().encode(`${text}\n`);
}

/** Stands in place of the manifest while a checkpoint is written or removed where it stands. */
export function encodeUnfinished(): Uint8Array {
  return new TextEncoder().encode(
    `${JSON.stringify({ format: FORMAT, version: VERSION, unfinished: true })}\n`,
  );
}

/** Whether a folder is what an interrupted save or removal left. */
export async function isUnfinished(folder: Folder): Promise<boolean> {
  if (!(await folder.has(MANIFEST))) return false;
  try {
    const json = await readJsonObject(folder, MANIFEST);
    return json.format === FORMAT && json.unfinished === true;
  } catch (error) {
    if (error instanceof JsonFileError) return false;
    throw error;
  }
}

/** @throws FileMissingError, JsonFileError, NewerFormatError, UnsafePathError */
export async function readManifest(folder: Folder): Promise<Manifest> {
  const file = `${folder.location}/${MANIFEST}`;
  const json = await readJsonObject(folder, MANIFEST);
  if (json.format !== FORMAT)
    throw new JsonFileError(file, 'this is not the manifest of a training checkpoint');
  const version = natural(file, json, 'version');
  if (version > VERSION) throw new NewerFormatError(file, version, VERSION);
  if (json.unfinished === true) throw new JsonFileError(file, 'saving this checkpoint was interrupted');
  const files = new Map<string, FileDigest>();
  for (const [name, value] of Object.entries(objectIn(file, json, 'files'))) {
    const entry = value as JsonObject;
    const hashes = entry?.sha256;
    if (!Array.isArray(hashes) || hashes.some((hash) => typeof hash !== 'string')) {
      throw new JsonFileError(file, `${JSON.stringify(name)} has no list of hashes`);
    }
    files.set(checkName(file, name), {
      byteLength: natural(file, entry, 'byteLength'),
      sha256: hashes as string[],
    });
  }
  const pieceBytes = natural(file, json, 'pieceBytes');
  if (pieceBytes === 0 || pieceBytes > 2 ** 31) throw new JsonFileError(file, 'pieceBytes is out of range');
  return { step: natural(file, json, 'step'), files, pieceBytes };
}

function natural(file: string, json: JsonObject, key: string): number {
  const value = json[key];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new JsonFileError(file, `${key} is not a whole number from 0`);
}

function objectIn(file: string, json: JsonObject, key: string): JsonObject {
  const value = json[key];
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new JsonFileError(file, `${key} is not an object`);
}

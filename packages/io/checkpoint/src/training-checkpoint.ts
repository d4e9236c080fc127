/**
 * Training checkpoints that survive a kill at any moment. A checkpoint is written to `checkpoint-N.tmp/`,
 * its manifest with the hash of each file last, and then renamed; one without a valid manifest does not
 * count. Older ones go only after the new one has been read back.
 *
 * Replacing a checkpoint of the same step moves the old one to `checkpoint-N.old` until the new one stands;
 * in between, `.old` is the checkpoint. A place that cannot rename writes `checkpoint-N/` where it stands, with
 * an unfinished manifest first; there, replacing a checkpoint of the same step gives the old one up.
 */
import { CheckpointCorruptError, CheckpointError, FileWriteError, NewerFormatError } from './errors.ts';
import { checkName, type FileContent, type FileSource, type Folder } from './folder.ts';
import {
  encodeManifest,
  encodeUnfinished,
  isUnfinished,
  MANIFEST,
  type Manifest,
  readManifest,
} from './manifest.ts';
import { digesting, type FileDigest, matches } from './piece-hash.ts';
import type { Named } from './safetensors-writer.ts';

export interface WriteCheckpointOptions {
  /** How many of the newest checkpoints stay, this one among them. @default 3 */
  readonly keep?: number;
  /** Steps that stay whatever their age, for example the best so far. */
  readonly protect?: Iterable<number>;
  /** Read the new checkpoint back before older ones go. @default true */
  readonly verify?: boolean;
}

/** A checkpoint in a folder of checkpoints. */
export interface CheckpointEntry {
  readonly step: number;
  /** The name of its folder. */
  readonly name: string;
}

/** A checkpoint whose files are what its manifest says. */
export interface Checkpoint extends CheckpointEntry {
  readonly folder: Folder;
  readonly files: ReadonlyMap<string, FileDigest>;
  /** @throws FileMissingError for a name outside `files` */
  open(name: string): Promise<FileSource>;
}

/** The newest whole checkpoint, and those that were passed over. */
export interface LatestCheckpoint {
  readonly checkpoint: Checkpoint | undefined;
  /** Newer folders that do not count, each with the reason. */
  readonly skipped: readonly { readonly name: string; readonly error: Error }[];
}

/**
 * Saves a checkpoint and then removes those beyond `keep`.
 * @param files content by name; a name may hold `/`
 * @returns the new checkpoint's folder
 * @throws FileWriteError (disk full, …): all earlier checkpoints still stand
 */
export async function writeCheckpoint(
  parent: Folder,
  step: number,
  files: Named<FileContent>,
  options: WriteCheckpointOptions = {},
): Promise<Folder> {
  const name = nameOf(parent, step);
  const keep = options.keep ?? 3;
  if (!(Number.isSafeInteger(keep) && keep >= 1)) {
    throw new CheckpointError(parent.location, `keep is ${keep}`, 'Keep at least 1 checkpoint');
  }
  await cleanUp(parent);
  if (await isForeign(parent, name)) {
    throw new FileWriteError(
      `${parent.location}/${name}`,
      'a folder of this name is there and is not a checkpoint of this format',
      'Choose another output folder or move it away',
    );
  }
  try {
    await save(parent, name, step, files, options);
  } catch (error) {
    // What is half-written may be what fills the disk.
    if (parent.rename) await parent.remove(`${name}.tmp`).catch(() => {});
    throw error;
  }
  await rotate(parent, step, keep, new Set(options.protect));
  return parent.folder(name);
}

async function save(
  parent: Folder,
  name: string,
  step: number,
  files: Named<FileContent>,
  options: WriteCheckpointOptions,
): Promise<void> {
  const folder = parent.folder(parent.rename ? `${name}.tmp` : name);
  if (!parent.rename) {
    await removeCheckpoint(parent, name);
    await folder.writeAtomic(MANIFEST, encodeUnfinished());
  }
  const digests = new Map<string, FileDigest>();
  for (const [file, content] of files instanceof Map ? files : Object.entries(files)) {
    if (file === MANIFEST) {
      throw new CheckpointError(folder.location, `a file is named ${MANIFEST}`, 'Rename it');
    }
    const { content: through, digest } = digesting(content);
    await folder.writeAtomic(checkName(folder.location, file), through);
    digests.set(file, digest());
  }
  await folder.writeAtomic(MANIFEST, encodeManifest(step, digests));
  if (options.verify !== false) await verify(folder, await readManifest(folder));
  if (parent.rename) await putInPlace(parent, name);
}

/** Checkpoints with a readable manifest, oldest step first. Their files are not read. */
export async function listCheckpoints(parent: Folder): Promise<CheckpointEntry[]> {
  const found: CheckpointEntry[] = [];
  for (const entry of await candidates(parent)) {
    if (!(await manifestProblem(parent, entry))) found.push(entry);
  }
  return found;
}

/**
 * The newest checkpoint whose every file has its hash; damaged ones are passed over and reported.
 * @throws NewerFormatError where a newer checkpoint is of a later format, which must not be passed over
 */
export async function latestValidCheckpoint(parent: Folder): Promise<LatestCheckpoint> {
  const skipped: { name: string; error: Error }[] = [];
  for (const entry of (await candidates(parent)).reverse()) {
    try {
      return { checkpoint: await openChecked(parent, entry), skipped };
    } catch (error) {
      if (!(error instanceof CheckpointError) || error instanceof NewerFormatError) throw error;
      skipped.push({ name: entry.name, error });
    }
  }
  return { checkpoint: undefined, skipped };
}

/**
 * The checkpoint of one step, every file checked against its hash.
 * @throws FileMissingError, JsonFileError, NewerFormatError, CheckpointCorruptError (names the file)
 */
export async function readCheckpoint(parent: Folder, step: number): Promise<Checkpoint> {
  const found = (await candidates(parent)).find((entry) => entry.step === step);
  return openChecked(parent, found ?? { step, name: nameOf(parent, step) });
}

function nameOf(parent: Folder, step: number): string {
  if (Number.isSafeInteger(step) && step >= 0) return `checkpoint-${step}`;
  throw new CheckpointError(parent.location, `${step} is not a step`, 'Give a whole number from 0');
}

function isName(name: string): boolean {
  return /^checkpoint-\d+$/.test(name);
}

/** Folders named as checkpoints, by step. `.old` stands in only where its successor is missing. */
async function candidates(parent: Folder): Promise<CheckpointEntry[]> {
  const names = new Set(await parent.list());
  const entries: CheckpointEntry[] = [];
  for (const name of names) {
    const match = /^checkpoint-(0|[1-9]\d*)(\.old)?$/.exec(name);
    if (!match || !Number.isSafeInteger(Number(match[1]))) continue;
    if (match[2] && names.has(`checkpoint-${match[1]}`)) continue;
    entries.push({ step: Number(match[1]), name });
  }
  return entries.sort((a, b) => a.step - b.step);
}

async function openChecked(parent: Folder, entry: CheckpointEntry): Promise<Checkpoint> {
  const folder = parent.folder(entry.name);
  const manifest = await readManifest(folder);
  if (manifest.step !== entry.step) {
    throw new CheckpointCorruptError(
      folder.location,
      `its manifest is of step ${manifest.step}`,
      'Give the folder the name of its step again',
    );
  }
  await verify(folder, manifest);
  return {
    ...entry,
    folder,
    files: manifest.files,
    open: (name) => folder.open(name),
  };
}

async function verify(folder: Folder, manifest: Manifest): Promise<void> {
  for (const [name, digest] of manifest.files) {
    if (await matches(await folder.open(name), digest, manifest.pieceBytes)) continue;
    throw new CheckpointCorruptError(
      `${folder.location}/${name}`,
      'the file is not what was saved: its length or its SHA-256 differs from the manifest',
      'Resume from an earlier checkpoint',
    );
  }
}

async function manifestProblem(parent: Folder, entry: CheckpointEntry): Promise<Error | undefined> {
  try {
    await readManifest(parent.folder(entry.name));
    return undefined;
  } catch (error) {
    if (error instanceof CheckpointError) return error;
    throw error;
  }
}

/** A folder of other tools, which also name theirs `checkpoint-N`: it has files but no manifest. */
async function isForeign(parent: Folder, name: string): Promise<boolean> {
  const folder = parent.folder(name);
  return !(await folder.has(MANIFEST)) && (await folder.list()).length > 0;
}

/** Removes what an interrupted save left, and puts back a checkpoint whose replacement did not come. */
async function cleanUp(parent: Folder): Promise<void> {
  const names = new Set(await parent.list());
  for (const name of names) {
    if (/^checkpoint-\d+\.tmp$/.test(name)) await parent.remove(name);
    if (!parent.rename && isName(name) && (await isUnfinished(parent.folder(name)))) {
      await removeCheckpoint(parent, name);
    }
    const old = /^(checkpoint-\d+)\.old$/.exec(name);
    if (!old) continue;
    if (names.has(old[1]!)) await removeCheckpoint(parent, name);
    else await parent.rename?.(name, old[1]!);
  }
}

async function putInPlace(parent: Folder, name: string): Promise<void> {
  const replaces = (await parent.list()).includes(name);
  if (replaces) await parent.rename!(name, `${name}.old`);
  await parent.rename!(`${name}.tmp`, name);
  if (replaces) await removeCheckpoint(parent, `${name}.old`);
}

async function rotate(
  parent: Folder,
  newest: number,
  keep: number,
  protect: ReadonlySet<number>,
): Promise<void> {
  // Steps after the new one belong to a run that was taken back to an earlier step: they go last.
  const entries = await listCheckpoints(parent);
  const surplus = entries.filter((entry) => entry.step !== newest && !protect.has(entry.step));
  const kept = entries.length - surplus.length;
  const removable = Math.max(0, surplus.length - Math.max(0, keep - kept));
  for (const entry of surplus.slice(0, removable)) await removeCheckpoint(parent, entry.name);
}

/** In an order that never leaves a folder that counts as a checkpoint and is not whole. */
async function removeCheckpoint(parent: Folder, name: string): Promise<void> {
  if (!(await parent.list()).includes(name)) return;
  if (parent.rename) {
    const doomed = `${name.replace(/\.old$/, '')}.tmp`;
    await parent.remove(doomed);
    await parent.rename(name, doomed);
    await parent.remove(doomed);
    return;
  }
  const folder = parent.folder(name);
  await folder.writeAtomic(MANIFEST, encodeUnfinished());
  for (const file of await folder.list()) {
    if (file !== MANIFEST) await folder.remove(file);
  }
  await parent.remove(name);
}

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export type Runtime = 'any' | 'node' | 'browser';

/** One package of the workspace, as its package.json describes it. */
export interface Workspace {
  readonly name: string;
  /** Its folder, absolute. */
  readonly folder: string;
  readonly floor: number;
  readonly runtime: Runtime;
  /** What its users get with it: dependencies, optional and peer dependencies. */
  readonly dependencies: ReadonlySet<string>;
  readonly devDependencies: ReadonlySet<string>;
  /** Keys of `exports`: `.`, `./package.json`, … */
  readonly exports: ReadonlySet<string>;
}

/** A package.json that lacks what the floors are read from. */
export class WorkspaceError extends Error {
  override readonly name = 'WorkspaceError';
  readonly path: string;

  constructor(path: string, message: string) {
    super(`${path}: ${message}`);
    this.path = path;
  }
}

interface Manifest {
  readonly name?: string;
  readonly dependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
  readonly peerDependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
  readonly exports?: Record<string, unknown>;
  readonly nx?: { readonly tags?: readonly string[] };
}

const readManifest = (path: string): Manifest => JSON.parse(readFileSync(path, 'utf8'));

const folders = (path: string): string[] =>
  readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'node_modules')
    .map((entry) => join(path, entry.name));

const keys = (...records: (Record<string, unknown> | undefined)[]): Set<string> =>
  new Set(records.flatMap((record) => Object.keys(record ?? {})));

function readWorkspace(folder: string): Workspace {
  const path = join(folder, 'package.json');
  const manifest = readManifest(path);
  const tag = (kind: string): string | undefined =>
    manifest.nx?.tags?.find((text) => text.startsWith(`${kind}:`))?.slice(kind.length + 1);
  const floor = Number(tag('floor') ?? Number.NaN);
  const runtime = tag('runtime');
  if (!manifest.name) throw new WorkspaceError(path, 'has no "name"');
  if (!Number.isInteger(floor)) throw new WorkspaceError(path, 'needs "floor:<number>" in nx.tags');
  if (runtime !== 'any' && runtime !== 'node' && runtime !== 'browser') {
    throw new WorkspaceError(path, 'needs "runtime:any", "runtime:node" or "runtime:browser" in nx.tags');
  }
  return {
    name: manifest.name,
    folder,
    floor,
    runtime,
    dependencies: keys(manifest.dependencies, manifest.optionalDependencies, manifest.peerDependencies),
    devDependencies: keys(manifest.devDependencies),
    exports: keys(manifest.exports),
  };
}

/**
 * The packages under `<root>/packages/<floor>/<name>`.
 *
 * @throws {WorkspaceError} where a package.json has no name, floor or runtime
 */
export function readWorkspaces(root: string): Workspace[] {
  return folders(join(root, 'packages'))
    .flatMap(folders)
    .filter((folder) => existsSync(join(folder, 'package.json')))
    .map(readWorkspace);
}

/** The tools that the root package.json gives to every package's tests and configuration. */
export const readRootTools = (root: string): Set<string> =>
  keys(readManifest(join(root, 'package.json')).devDependencies);

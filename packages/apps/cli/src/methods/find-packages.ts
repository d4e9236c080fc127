import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Method } from '@graftjs/peft';
import { UsageError } from '../errors.ts';

/** A package that offers methods: its `package.json` says so under `graft`. */
export interface MethodPackage {
  readonly name: string;
  /** The `peft_type` of each method, by name. */
  readonly methods: Readonly<Record<string, string>>;
  /** Whether one of them reads files of another library. */
  readonly readsOtherForm: boolean;
  /** Loads the package. @throws UsageError where it does not offer what it says */
  readonly load: () => Promise<readonly Method[]>;
}

interface Manifest {
  readonly name?: string;
  readonly exports?: unknown;
  readonly main?: string;
  readonly graft?: { readonly methods?: Record<string, string>; readonly readsOtherForm?: boolean };
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
}

const here = dirname(fileURLToPath(import.meta.url));

/**
 * The packages that offer methods: those installed with this command, and in the project that a folder belongs to
 * `node_modules/@graftjs/*` and what its `package.json` names. They are not loaded.
 */
export function findMethodPackages(project = process.cwd()): MethodPackage[] {
  const found = new Map<string, MethodPackage>();
  const look = (folder: string, ours: boolean): void => {
    const manifest = readManifest(folder);
    const { name, graft } = manifest ?? {};
    if (!name || !graft?.methods || found.has(name)) return;
    found.set(name, {
      name,
      methods: graft.methods,
      readsOtherForm: graft.readsOtherForm === true,
      load: async () => methodsOf(ours ? await import(name) : await load(entryOf(folder, manifest!)), name),
    });
  };
  for (const [start, ours] of [
    [here, true],
    [project, false],
  ] as const)
    for (const folder of ancestors(start)) {
      const modules = join(folder, 'node_modules');
      for (const each of foldersIn(join(modules, '@graftjs'))) look(each, ours);
      if (ours) continue;
      const { dependencies, devDependencies, optionalDependencies } = readManifest(folder) ?? {};
      for (const name of Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies }))
        look(join(modules, name), false);
    }
  return [...found.values()];
}

/** The methods of a file. @throws UsageError */
export async function methodsOfFile(path: string): Promise<readonly Method[]> {
  return methodsOf(await load(path), path);
}

/** @throws UsageError where the file cannot be read as a program, or computes with another copy of our packages */
async function load(path: string): Promise<unknown> {
  checkSameCopy(path);
  try {
    return await import(pathToFileURL(path).href);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ERR_UNKNOWN_FILE_EXTENSION')
      throw new UsageError(
        `${path}: this Node reads no TypeScript; use 22.18 or later, run with \`node --import tsx\`, or give a .js file`,
      );
    if (code === 'ERR_MODULE_NOT_FOUND') throw new UsageError(`${path}: ${(error as Error).message}`);
    throw error;
  }
}

/** Tensors of two copies of a package do not go together. */
function checkSameCopy(path: string): void {
  const peft = (from: string): string | undefined => {
    try {
      return realpathSync(createRequire(from).resolve('@graftjs/peft/package.json'));
    } catch {
      return undefined;
    }
  };
  const [theirs, ours] = [peft(path), peft(join(here, 'x.js'))];
  if (theirs !== undefined && theirs !== ours)
    throw new UsageError(
      `${path} uses another copy of @graftjs/peft than this command: install @graftjs/cli beside it and run that one`,
    );
}

function methodsOf(loaded: unknown, where: string): readonly Method[] {
  const { methods } = loaded as { methods?: unknown };
  const isMethod = (each: unknown): boolean => typeof (each as Method | undefined)?.name === 'string';
  if (Array.isArray(methods) && methods.length > 0 && methods.every(isMethod)) return methods as Method[];
  throw new UsageError(`${where}: it offers no methods: it must export \`methods\`, a list of Method`);
}

/** The file that `import` would take, by the conditions of Node. */
function entryOf(folder: string, { exports, main }: Manifest): string {
  const choose = (target: unknown): string | undefined => {
    if (typeof target === 'string') return target;
    if (typeof target !== 'object' || target === null) return undefined;
    const by = target as Record<string, unknown>;
    if ('.' in by) return choose(by['.']);
    for (const [condition, inner] of Object.entries(by))
      if (['node', 'import', 'default'].includes(condition)) return choose(inner);
    return undefined;
  };
  return join(folder, choose(exports) ?? main ?? 'index.js');
}

function readManifest(folder: string): Manifest | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
  } catch {
    return undefined;
  }
}

function foldersIn(path: string): string[] {
  try {
    return readdirSync(path).map((name) => join(path, name));
  } catch {
    return [];
  }
}

function* ancestors(folder: string): Generator<string> {
  for (let at = folder; ; at = dirname(at)) {
    yield at;
    if (dirname(at) === at) return;
  }
}

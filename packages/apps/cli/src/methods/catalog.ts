import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { ADAPTER_CONFIG, type Folder, readJsonObject } from '@graftjs/checkpoint';
import { type Method, type MethodTools, type Tuner, tunerOf, UnsupportedConfigError } from '@graftjs/peft';
import { UsageError } from '../errors.ts';
import { didYouMean } from '../suggest.ts';
import { findMethodPackages, type MethodPackage, methodsOfFile } from './find-packages.ts';

/** Whether a method is named by a file that has it. */
export const isMethodFile = (name: string): boolean => /[/\\]|\.[cm]?[jt]s$/.test(name);

/** A method's name, where it is a file. */
export const methodFile = (name: string): string | undefined => (isMethodFile(name) ? name : undefined);

/** The methods that can be named, and the packages that are loaded where one is. */
export class MethodCatalog {
  readonly #packages: readonly MethodPackage[];

  constructor(packages: readonly MethodPackage[] = findMethodPackages()) {
    this.#packages = packages;
  }

  get names(): readonly string[] {
    return this.#packages.flatMap(({ methods }) => Object.keys(methods)).sort();
  }

  /** The package of a method, by its name. */
  packageOf(name: string): string | undefined {
    return this.#packages.find(({ methods }) => Object.hasOwn(methods, name))?.name;
  }

  /** What all packages have: loads every one. */
  async all(): Promise<readonly Method[]> {
    const lists = await Promise.all(this.#packages.map(({ load }) => load()));
    return lists.flat().sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** A method by its name, or by the path of a file. @throws UsageError where there is none */
  async method(name: string): Promise<Method> {
    if (isMethodFile(name)) return methodOfFile(resolve(name));
    const [owner, another] = this.#packages.filter(({ methods }) => Object.hasOwn(methods, name));
    if (!owner)
      throw new UsageError(
        `there is no method ${JSON.stringify(name)}${didYouMean(name, this.names) || '; graft methods lists them'}`,
      );
    if (another)
      throw new UsageError(`method ${name} is in both ${owner.name} and ${another.name}: remove one of them`);
    const method = (await owner.load()).find((each) => each.name === name);
    if (method) return method;
    throw new UsageError(`${owner.name} names a method ${name} in its package.json, and does not export it`);
  }

  /**
   * The tuner of an adapter's folder, and the folder in the form that it reads.
   * @param also methods beside the catalog's, such as a file's
   * @throws UnsupportedConfigError where there is no package for its `peft_type`
   */
  async tunerOf(
    folder: Folder,
    tools: MethodTools = {},
    also: readonly Method[] = [],
  ): Promise<{ readonly tuner: Tuner; readonly folder: Folder }> {
    const { peft_type: type } = await readJsonObject(folder, ADAPTER_CONFIG);
    for (const method of also) {
      const tuner = await tunerOf(method, tools);
      if (tuner.peftType === type) return { tuner, folder };
    }
    const owner = this.#packages.find(({ methods }) => Object.values(methods).includes(String(type)));
    if (owner) {
      for (const method of await owner.load()) {
        const tuner = await tunerOf(method, tools);
        if (tuner.peftType === type) return { tuner, folder };
      }
    }
    for (const { load } of this.#packages.filter(({ readsOtherForm }) => readsOtherForm))
      for (const method of await load()) {
        const read = await method.otherForm?.read(folder);
        if (read) return { tuner: await tunerOf(method, tools), folder: read };
      }
    const known = [...new Set(this.#packages.flatMap(({ methods }) => Object.values(methods)))].sort();
    throw new UnsupportedConfigError('peft_type', type ?? null, `methods here are of ${known.join(', ')}`);
  }
}

async function methodOfFile(path: string): Promise<Method> {
  const isFile = await stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
  if (!isFile) throw new UsageError(`${path}: there is no such file with a method`);
  const [method, another] = await methodsOfFile(path);
  if (another) throw new UsageError(`${path}: it has several methods: a file is to have one`);
  return method!;
}

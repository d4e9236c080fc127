import {
  isAlias,
  isMap,
  isScalar,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type YAMLMap,
} from 'yaml';
import { ConfigError, type ConfigPlace } from '../errors.ts';
import { didYouMean } from '../suggest.ts';
import { type ConfigKey, configKeys, findKey, normalName, sectionNames, shorthand } from './keys.ts';
import { type Config, configSchema } from './schema.ts';
import { listsNames } from './targets.ts';

/** Values by section and key, with the place where each was given. */
interface Given {
  readonly values: Map<ConfigKey, unknown>;
  readonly places: Map<ConfigKey, ConfigPlace>;
}

export interface ParseConfigOptions {
  /** Names the file in messages. */
  readonly file?: string;
  /** Values that override those of the file, by key path; `named` is how messages call them. */
  readonly overrides?: ReadonlyMap<ConfigKey, { readonly value: unknown; readonly named: string }>;
}

/**
 * Reads a configuration: YAML 1.2, keys in sections, checked and completed with defaults.
 * @throws ConfigError with file, line and column: YAML that does not parse, unknown, doubled or missing keys,
 *   values out of range
 */
export function parseConfig(text: string, options: ParseConfigOptions = {}): Config {
  const { file } = options;
  const given = readYaml(text, file);
  for (const [key, { value, named }] of options.overrides ?? []) {
    given.values.set(key, value);
    given.places.set(key, { file: named });
    // Steps and epochs replace each other, so that a flag can override the other one of the file.
    const rival = rivals(key);
    if (rival && !options.overrides?.has(rival)) given.values.delete(rival);
  }
  return complete(given, file === undefined ? {} : { file });
}

const rivals = (key: ConfigKey): ConfigKey | undefined => {
  if (key.path === 'training.steps') return findKey('training', 'epochs');
  if (key.path === 'training.epochs') return findKey('training', 'steps');
  return undefined;
};

function readYaml(text: string, file: string | undefined): Given {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const at = (offset: number | undefined): ConfigPlace => {
    const position = offset === undefined ? undefined : lines.linePos(offset);
    return {
      ...(file === undefined ? {} : { file }),
      ...(position ? { line: position.line, column: position.col } : {}),
    };
  };
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault) {
    const what = fault.message.split('\n')[0]!.replace(/\.$/, '');
    throw new ConfigError(`the YAML does not parse (${what}): correct the line`, at(fault.pos[0]));
  }
  const given: Given = { values: new Map(), places: new Map() };
  if (document.contents === null) return given;
  const toValue = (node: unknown): unknown => {
    try {
      return node === null || node === undefined
        ? null
        : (node as Node).toJS(document, { maxAliasCount: 100 });
    } catch (cause) {
      const start = (node as Node).range?.[0];
      throw new ConfigError(`${(cause as Error).message}: write the values out`, at(start), { cause });
    }
  };
  const resolve = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node);

  const add = (key: ConfigKey, value: unknown, place: ConfigPlace): void => {
    if (given.values.has(key)) throw new ConfigError(`${key.path} is given twice`, place);
    given.values.set(key, value);
    given.places.set(key, place);
  };
  const root = resolve(document.contents);
  if (!isMap(root))
    throw new ConfigError('a configuration is a map of keys, such as `model: ./model`', at(rangeOf(root)));

  for (const { name, value, offset } of pairs(root, at)) {
    const section = sectionNames.find((each) => normalName(each) === normalName(name));
    const content = resolve(value);
    if (section === undefined) {
      const key = findKey('', name);
      if (!key) throw unknown(name, '', at(offset));
      add(key, toValue(value), at(rangeOf(value) ?? offset));
    } else if (isMap(content)) {
      for (const inner of pairs(content, at)) {
        const key = findKey(section, inner.name);
        if (!key) throw unknown(inner.name, section, at(inner.offset));
        add(key, toValue(inner.value), at(rangeOf(inner.value) ?? inner.offset));
      }
    } else {
      const short = shorthand(section);
      const written = toValue(value);
      // `training:` with nothing below it.
      if (written === null) continue;
      if (short === undefined)
        throw new ConfigError(`${section} must hold keys, such as ${exampleOf(section)}`, at(rangeOf(value)));
      add(findKey(section, short)!, written, at(rangeOf(value) ?? offset));
    }
  }
  return given;
}

const rangeOf = (node: unknown): number | undefined => (node as Node | null | undefined)?.range?.[0];

const exampleOf = (section: string): string => {
  const key = configKeys.find((each) => each.section === section && each.defaultValue !== undefined);
  return key ? `\`${key.name}: ${key.defaultValue}\`` : '`key: value`';
};

function* pairs(
  map: YAMLMap,
  at: (offset: number | undefined) => ConfigPlace,
): Generator<{ name: string; value: unknown; offset: number | undefined }> {
  for (const pair of map.items as Pair[]) {
    const offset = rangeOf(pair.key);
    if (!isScalar(pair.key)) throw new ConfigError('a key must be a plain name', at(offset));
    yield { name: String(pair.key.value), value: pair.value, offset };
  }
}

function unknown(name: string, section: string, place: ConfigPlace): ConfigError {
  const shown = section === '' ? name : `${section}.${name}`;
  const elsewhere = [...sectionNames, '']
    .filter((each) => each !== section)
    .map((each) => findKey(each, name))
    .find((key) => key !== undefined);
  if (elsewhere) {
    const where = elsewhere.section === '' ? 'at the top' : `under ${elsewhere.section}:`;
    return new ConfigError(`unknown key ${shown}; it belongs ${where}, as ${elsewhere.name}`, place);
  }
  const inSection = configKeys.filter((key) => key.section === section).map((key) => key.name);
  const near = didYouMean(name, section === '' ? [...inSection, ...sectionNames] : inSection);
  const nearElsewhere =
    near === ''
      ? didYouMean(
          name,
          configKeys.map((key) => key.path.split('.').at(-1)!),
        )
      : '';
  return new ConfigError(`unknown key ${shown}${near || nearElsewhere || '; see graft train --help'}`, place);
}

function complete(given: Given, file: ConfigPlace): Config {
  const input: Record<string, unknown> = Object.fromEntries(sectionNames.map((name) => [name, {}]));
  for (const [key, value] of given.values) {
    const target = key.section === '' ? input : (input[key.section] as Record<string, unknown>);
    target[key.name] = value;
  }
  for (const key of configKeys) {
    if (key.required && !given.values.has(key))
      throw new ConfigError(
        `${key.path} is missing: give ${key.expects}, in the file or as --${key.flag}`,
        file,
      );
  }
  const result = configSchema.safeParse(input);
  if (!result.success) {
    const [section = '', name = ''] = result.error.issues[0]!.path.map(String);
    const key = configKeys.find((each) => each.path === `${section}.${name}` || each.path === section);
    if (!key) throw new ConfigError(result.error.issues[0]!.message, file, { cause: result.error });
    const value = shown(given.values.get(key));
    throw new ConfigError(
      `${key.path} is ${value}: it must be ${key.expects}`,
      given.places.get(key) ?? file,
    );
  }
  const config = result.data;
  checkTogether(config, (path) => placeOf(given, path) ?? file);
  const { steps, epochs } = config.training;
  if (steps !== undefined && epochs !== undefined)
    throw new ConfigError(
      'training.steps and training.epochs are both given: keep one of them',
      placeOf(given, 'training.epochs') ?? file,
    );
  if (steps === undefined && epochs === undefined)
    return { ...config, training: { ...config.training, epochs: 3 } };
  return config;
}

const placeOf = (given: Given, path: string): ConfigPlace | undefined =>
  given.places.get(configKeys.find((key) => key.path === path)!);

/** Keys that are right alone and wrong together. */
function checkTogether({ method, training }: Config, at: (path: string) => ConfigPlace): void {
  const { optimizer, momentum, nesterov } = training;
  const wrong = (path: string, what: string): ConfigError => new ConfigError(`${path} ${what}`, at(path));
  for (const [path, used] of [
    ['training.momentum', momentum > 0],
    ['training.nesterov', nesterov],
  ] as const)
    if (used && optimizer !== 'sgd') throw wrong(path, 'goes with training.optimizer: sgd only');
  if (nesterov && momentum === 0) throw wrong('training.nesterov', 'needs training.momentum above 0');
  if (method.dora && method.loraBias)
    throw wrong('method.loraBias', 'does not go with method.dora: keep one of them');
  if (method.layersToTransform && !listsNames(method.targetModules))
    throw wrong('method.layersToTransform', 'goes with names in method.targetModules only');
}

function shown(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value ?? null);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

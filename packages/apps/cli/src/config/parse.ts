import { resolve } from 'node:path';
import { type Method, PeftError } from '@graftjs/peft';
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
import { ConfigError, type ConfigPlace, UsageError } from '../errors.ts';
import { isMethodFile, MethodCatalog } from '../methods/catalog.ts';
import { meaning } from '../methods/meaning.ts';
import { methodConfig } from '../methods/method-config.ts';
import { findOption, optionKeys } from '../methods/method-keys.ts';
import { didYouMean } from '../suggest.ts';
import { flagValue } from './flags.ts';
import { type ConfigKey, configKeys, findKey, normalName, sectionNames, shorthand } from './keys.ts';
import { type Config, configSchema } from './schema.ts';

/** Values by section and key, with the place where each was given. */
interface Given {
  readonly values: Map<ConfigKey, unknown>;
  readonly places: Map<ConfigKey, ConfigPlace>;
  /** What is written below `method`, its type apart, by the names there: whose keys they are, the type says. */
  readonly method: Map<string, GivenOption>;
}

interface GivenOption {
  readonly value: unknown;
  readonly place: ConfigPlace;
  readonly keyPlace: ConfigPlace;
  readonly isFlag?: boolean;
}

export interface ParseConfigOptions {
  /** Names the file in messages. */
  readonly file?: string;
  /** Flags by name, which override the file's values; those of no key are passed over. */
  readonly flags?: Readonly<Record<string, unknown>>;
  /** Default: the methods of the packages that are installed. */
  readonly methods?: MethodCatalog;
}

/**
 * Reads a configuration: YAML 1.2, keys in sections, checked and completed with defaults; the method that it names is
 * loaded.
 * @throws ConfigError with file, line and column: YAML that does not parse, unknown, doubled or missing keys,
 *   values out of range, a method that is not there
 */
export async function parseConfig(text: string, options: ParseConfigOptions = {}): Promise<Config> {
  const { file, flags = {} } = options;
  const given = readYaml(text, file);
  takeFlags(given, flags);
  const method = await methodOf(given, options.methods ?? new MethodCatalog());
  const config = complete(given, file === undefined ? {} : { file });
  return withMethod(config, method, given, flags);
}

/** The name of the method that a configuration asks for; faults elsewhere in it are passed over. */
export function methodNameOf(text: string): string | undefined {
  try {
    const name = readYaml(text, undefined).values.get(typeKey);
    return typeof name === 'string' ? name : undefined;
  } catch {
    return undefined;
  }
}

const typeKey = findKey('method', 'type')!;

function takeFlags(given: Given, flags: Readonly<Record<string, unknown>>): void {
  const isGiven = (key: ConfigKey | undefined): boolean =>
    key !== undefined && typeof flags[key.flag] === 'string';
  for (const key of configKeys.filter(isGiven)) {
    given.values.set(key, flagValue(key, flags[key.flag] as string));
    given.places.set(key, { file: `--${key.flag}` });
    // Steps and epochs replace each other, so that a flag can override the other one of the file.
    const rival = rivals(key);
    if (rival && !isGiven(rival)) given.values.delete(rival);
  }
}

async function methodOf(given: Given, methods: MethodCatalog): Promise<Method> {
  const type = given.values.get(typeKey) ?? 'lora';
  const place = given.places.get(typeKey);
  if (typeof type !== 'string' || type === '')
    throw new ConfigError(`method.type is ${shown(type)}: it must be ${typeKey.expects}`, place);
  try {
    const method = await methods.method(type);
    // a run is continued from elsewhere, too
    if (isMethodFile(type)) given.values.set(typeKey, resolve(type));
    return method;
  } catch (error) {
    if (error instanceof UsageError)
      throw new ConfigError(`method.type: ${error.message}`, place, { cause: error });
    throw error;
  }
}

/** A configuration with the options of its method. */
function withMethod(
  config: Config,
  method: Method,
  given: Given,
  flags: Readonly<Record<string, unknown>>,
): Config {
  const keys = optionKeys(method);
  const written = new Map(given.method);
  for (const { flag, name } of keys) {
    const value = flags[flag];
    if (typeof value !== 'string') continue;
    // a flag wins over the file, under whichever name it is there
    for (const other of written.keys()) if (findOption(keys, other)?.name === name) written.delete(other);
    written.set(name, { value, place: { file: `--${flag}` }, keyPlace: { file: `--${flag}` }, isFlag: true });
  }
  const options: Record<string, unknown> = {};
  const named: Record<string, unknown> = {};
  const places = new Map<string, ConfigPlace>();
  for (const [asWritten, { value, place, keyPlace, isFlag }] of written) {
    const key = findOption(keys, asWritten);
    if (!key) throw unknownOption(asWritten, method, keyPlace);
    const { name, option, field } = key;
    if (option in options) throw new ConfigError(`method.${name} is given twice`, place);
    const meant = meaning(value, field, isFlag);
    if (meant === undefined)
      throw new ConfigError(`method.${name} is ${shown(value)}: it must be ${field.expects}`, place);
    options[option] = meant;
    named[name] = meant;
    for (const each of [option, field.key]) places.set(each, place);
  }
  const defaults = Object.fromEntries(
    Object.entries(method.defaults ?? {}).map(([option, value]) => [
      keys.find((key) => key.option === option)?.name ?? option,
      value,
    ]),
  );
  const place = placeOf(given, 'method.type') ?? {};
  try {
    // what follows from the model is not known yet
    if (!method.fit)
      methodConfig(method, options, { baseModel: config.model, taskType: config.task ?? 'CAUSAL_LM' });
  } catch (error) {
    if (!(error instanceof PeftError)) throw error;
    const { key } = error as PeftError & { key?: string };
    const name = keys.find(({ option, field }) => option === key || field.key === key)?.name;
    const what =
      name === undefined
        ? `method: ${error.message}`
        : error.message.replace(/^adapter config, \w+/, `method.${name}`);
    throw new ConfigError(what, places.get(key ?? '') ?? place, { cause: error });
  }
  if (method.virtualTokens && config.data.packing)
    throw new ConfigError(
      `data.packing does not go with ${method.name}: its virtual tokens stand in front of each text`,
      placeOf(given, 'data.packing') ?? place,
    );
  const rate = given.values.has(findKey('training', 'learningRate')!)
    ? {}
    : { learningRate: method.learningRate };
  return {
    ...config,
    method: { type: config.method.type, ...defaults, ...named },
    training: { ...config.training, ...rate },
  };
}

function unknownOption(written: string, method: Method, place: ConfigPlace): ConfigError {
  const keys = optionKeys(method);
  const elsewhere = elsewhereOf(written, 'method');
  if (elsewhere) return new ConfigError(`unknown key method.${written}; ${elsewhere}`, place);
  const near = didYouMean(
    written,
    keys.map(({ name }) => name),
  );
  const hint = near || `; \`graft methods ${method.name}\` lists its keys`;
  return new ConfigError(`unknown key method.${written} of ${method.name}${hint}`, place);
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
  const given: Given = { values: new Map(), places: new Map(), method: new Map() };
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
  const resolved = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node);

  const add = (key: ConfigKey, value: unknown, place: ConfigPlace): void => {
    if (given.values.has(key)) throw new ConfigError(`${key.path} is given twice`, place);
    given.values.set(key, value);
    given.places.set(key, place);
  };
  const root = resolved(document.contents);
  if (!isMap(root))
    throw new ConfigError('a configuration is a map of keys, such as `model: ./model`', at(rangeOf(root)));

  for (const { name, value, offset } of pairs(root, at)) {
    const section = sectionNames.find((each) => normalName(each) === normalName(name));
    const content = resolved(value);
    if (section === undefined) {
      const key = findKey('', name);
      if (!key) throw unknown(name, '', at(offset));
      add(key, toValue(value), at(rangeOf(value) ?? offset));
    } else if (isMap(content)) {
      for (const inner of pairs(content, at)) {
        const key = findKey(section, inner.name);
        if (section === 'method' && key?.name !== 'type') {
          const place = at(rangeOf(inner.value) ?? inner.offset);
          given.method.set(inner.name, { value: toValue(inner.value), place, keyPlace: at(inner.offset) });
          continue;
        }
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
  const elsewhere = elsewhereOf(name, section);
  if (elsewhere) return new ConfigError(`unknown key ${shown}; ${elsewhere}`, place);
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

/** Where a key belongs that is not of this section. */
function elsewhereOf(name: string, section: string): string | undefined {
  const key = [...sectionNames, '']
    .filter((each) => each !== section)
    .map((each) => findKey(each, name))
    .find((found) => found !== undefined);
  if (!key) return undefined;
  return `it belongs ${key.section === '' ? 'at the top' : `under ${key.section}:`}, as ${key.name}`;
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
  const config = result.data as Config;
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
function checkTogether(config: Config, at: (path: string) => ConfigPlace): void {
  const { optimizer, momentum, nesterov } = config.training;
  const wrong = (path: string, what: string): ConfigError => new ConfigError(`${path} ${what}`, at(path));
  for (const [path, used] of [
    ['training.momentum', momentum > 0],
    ['training.nesterov', nesterov],
  ] as const)
    if (used && optimizer !== 'sgd') throw wrong(path, 'goes with training.optimizer: sgd only');
  const { format, doubleQuantization, block, exclude } = config.weights;
  for (const [path, value, formats] of [
    ['weights.doubleQuantization', doubleQuantization, ['nf4', 'fp4']],
    ['weights.block', block, ['nf4', 'fp4']],
    ['weights.exclude', exclude, ['nf4', 'fp4', 'int8']],
  ] as const)
    if (value !== undefined && !(formats as readonly string[]).includes(format))
      throw wrong(path, `goes with weights.format ${formats.join(', ')} only; it is ${format}`);
  if (nesterov && momentum === 0) throw wrong('training.nesterov', 'needs training.momentum above 0');
}

function shown(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value ?? null);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

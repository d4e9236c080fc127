import { PeftError } from '@graftjs/peft';
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
import { fieldsOf, methodConfig, methods } from './methods.ts';
import { type Config, configSchema, loraOptionsOf } from './schema.ts';
import { listsNames } from './targets.ts';

/** Values by section and key, with the place where each was given. */
interface Given {
  readonly values: Map<ConfigKey, unknown>;
  readonly places: Map<ConfigKey, ConfigPlace>;
  /** What is written below `method`, its type apart, by the names there: whose keys they are, the type says. */
  readonly method: Map<
    string,
    { readonly value: unknown; readonly place: ConfigPlace; readonly keyPlace: ConfigPlace }
  >;
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
  const typeKey = findKey('method', 'type')!;
  const type = options.overrides?.get(typeKey)?.value ?? given.values.get(typeKey) ?? 'lora';
  const other = Object.hasOwn(methods, String(type)) ? String(type) : undefined;
  if (!other) takeLoraKeys(given);
  for (const [key, { value, named }] of options.overrides ?? []) {
    if (other && key.section === 'method' && key !== typeKey) {
      given.method.set(key.name, { value, place: { file: named }, keyPlace: { file: named } });
      continue;
    }
    given.values.set(key, value);
    given.places.set(key, { file: named });
    // Steps and epochs replace each other, so that a flag can override the other one of the file.
    const rival = rivals(key);
    if (rival && !options.overrides?.has(rival)) given.values.delete(rival);
  }
  const config = complete(given, file === undefined ? {} : { file });
  return other ? withMethod(config, other, given) : config;
}

/** What is written below `method` is of LoRA. */
function takeLoraKeys(given: Given): void {
  for (const [name, { value, place, keyPlace }] of given.method) {
    const key = findKey('method', name);
    if (!key) throw unknown(name, 'method', keyPlace);
    if (given.values.has(key)) throw new ConfigError(`${key.path} is given twice`, place);
    given.values.set(key, value);
    given.places.set(key, place);
  }
}

/** A configuration with a method that takes the keys of its own config. */
function withMethod(config: Config, type: string, given: Given): Config {
  const method = methods[type]!;
  const fields = fieldsOf(method);
  const options: Record<string, unknown> = {};
  for (const [written, { value, place, keyPlace }] of given.method) {
    const wanted = normalName(written);
    const found = fields.find(([name, { key }]) => [name, key].some((each) => normalName(each) === wanted));
    if (!found) {
      const near = didYouMean(
        written,
        fields.map(([name]) => name),
      );
      throw new ConfigError(`unknown key method.${written} of ${type}${near}`, keyPlace);
    }
    const [name, { accepts, expects }] = found;
    if (name in options) throw new ConfigError(`method.${name} is given twice`, place);
    const meant = [value, ...meanings(value)].find(accepts);
    if (meant === undefined)
      throw new ConfigError(`method.${name} is ${shown(value)}: it must be ${expects}`, place);
    options[name] = meant;
  }
  const place = placeOf(given, 'method.type') ?? {};
  try {
    methodConfig(method, options, config.model);
  } catch (error) {
    if (error instanceof PeftError)
      throw new ConfigError(`method: ${error.message}`, place, { cause: error });
    throw error;
  }
  if (method.virtualTokens && config.data.packing)
    throw new ConfigError(
      `data.packing does not go with ${type}: its virtual tokens stand in front of each text`,
      placeOf(given, 'data.packing') ?? place,
    );
  const rate = given.values.has(findKey('training', 'learningRate')!)
    ? {}
    : { learningRate: method.learningRate };
  return {
    ...config,
    method: { type, ...method.defaults, ...options },
    training: { ...config.training, ...rate },
  };
}

/** What a text may mean: flags are all texts, and names of choices are written in any case. */
const meanings = (value: unknown): unknown[] => {
  if (typeof value !== 'string') return [];
  const number = Number(value);
  return [
    ...(value.trim() !== '' && Number.isFinite(number) ? [number] : []),
    ...(value === 'true' || value === 'false' ? [value === 'true'] : []),
    value.toUpperCase(),
    value.toLowerCase(),
    [value],
  ];
};

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
  const lora = loraOptionsOf(config);
  const wrong = (path: string, what: string): ConfigError => new ConfigError(`${path} ${what}`, at(path));
  for (const [path, used] of [
    ['training.momentum', momentum > 0],
    ['training.nesterov', nesterov],
  ] as const)
    if (used && optimizer !== 'sgd') throw wrong(path, 'goes with training.optimizer: sgd only');
  if (nesterov && momentum === 0) throw wrong('training.nesterov', 'needs training.momentum above 0');
  if (lora?.dora && lora.loraBias)
    throw wrong('method.loraBias', 'does not go with method.dora: keep one of them');
  if (lora?.layersToTransform && !listsNames(lora.targetModules))
    throw wrong('method.layersToTransform', 'goes with names in method.targetModules only');
}

function shown(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value ?? null);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

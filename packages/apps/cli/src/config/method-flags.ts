import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { ArgsDef } from 'citty';
import { MethodCatalog } from '../methods/catalog.ts';
import { optionFlags } from '../methods/method-keys.ts';
import { configFlags } from './flags.ts';
import { methodNameOf } from './parse.ts';

/**
 * The keys of the method that a command line or its configuration names, as flags.
 * @throws UsageError where there is no such method
 */
export async function methodFlags(argv: readonly string[]): Promise<ArgsDef> {
  const strings = Object.keys(configFlags).map((name) => [name, { type: 'string' }] as const);
  const { values, positionals } = parseArgs({
    args: [...argv],
    options: Object.fromEntries(strings),
    strict: false,
    allowPositionals: true,
  });
  const [file] = positionals;
  const given = typeof values.method === 'string' ? values.method : undefined;
  const text = given === undefined && file !== undefined ? await readFile(file, 'utf8').catch(() => '') : '';
  const name = given || methodNameOf(text) || 'lora';
  // an unknown name is told of with its place, once the configuration is read
  const method = await new MethodCatalog().method(name).catch(() => undefined);
  return method ? optionFlags(method) : {};
}

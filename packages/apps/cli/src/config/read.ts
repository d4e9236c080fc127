import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { ConfigError } from '../errors.ts';
import { parseConfig } from './parse.ts';
import type { Config } from './schema.ts';

/**
 * The configuration of a command line: the file `args.config`, where it is given, and the flags; paths are absolute.
 * @throws ConfigError
 */
export async function readConfig(args: Readonly<Record<string, unknown>>): Promise<Config> {
  const file = args.config as string | undefined;
  return absolute(
    await parseConfig(file === undefined ? '' : await readText(file), {
      ...(file === undefined ? {} : { file }),
      flags: args,
    }),
  );
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const what = code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${code})`;
    throw new ConfigError(`${what}: give the path of a configuration`, { file }, { cause });
  }
}

/** Paths count from the working directory; the run folder keeps them whole, so that it can be resumed from elsewhere. */
function absolute(config: Config): Config {
  const { data } = config;
  return {
    ...config,
    model: resolve(config.model),
    output: resolve(config.output),
    data: {
      ...data,
      train: typeof data.train === 'string' ? resolve(data.train) : data.train.map((path) => resolve(path)),
      heldOut: typeof data.heldOut === 'string' ? resolve(data.heldOut) : data.heldOut,
      ...(data.chatTemplate === undefined || data.chatTemplate === 'chatml'
        ? {}
        : { chatTemplate: resolve(data.chatTemplate) }),
    },
  };
}

import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { defineCommand } from 'citty';
import type { CommandData } from '../cli.ts';
import { commonFlags } from '../common-flags.ts';
import { configFlags, overridesOf } from '../config/flags.ts';
import { parseConfig } from '../config/parse.ts';
import type { Config } from '../config/schema.ts';
import { ConfigError } from '../errors.ts';
import { prepare } from '../run/prepare.ts';
import { reportOutcome } from '../run/report-outcome.ts';
import { checkOutput, createRun } from '../run/run-folder.ts';
import { trainPrepared } from '../run/train-prepared.ts';

export const train = defineCommand({
  meta: { name: 'graft train', description: 'Fine-tune a model as a configuration says' },
  args: {
    config: { type: 'positional', required: false, description: 'the configuration, a YAML file' },
    overwrite: { type: 'boolean', description: 'Replace a run that is in the output folder' },
    ...configFlags,
    ...commonFlags,
  },
  async run({ args, data }) {
    const { host, reporter } = data as CommandData;
    const file = args.config as string | undefined;
    const config = absolute(
      parseConfig(file === undefined ? '' : await readConfig(file), {
        ...(file === undefined ? {} : { file }),
        overrides: overridesOf(args),
      }),
    );
    const overwrite = args.overwrite === true;
    await checkOutput(config.output, overwrite);
    reporter.configure({ logEvery: config.training.logEvery });
    const prepared = await prepare(config, reporter);
    const run = await createRun(config, overwrite);
    try {
      reportOutcome(reporter, await trainPrepared(prepared, run, { host, reporter }));
    } finally {
      await run.release();
      prepared.runtime.gpu.close();
    }
  },
});

async function readConfig(file: string): Promise<string> {
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

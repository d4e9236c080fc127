import { join } from 'node:path';
import { defineCommand } from 'citty';
import type { CommandData } from '../cli.ts';
import { commonFlags } from '../common-flags.ts';
import { configFlags } from '../config/flags.ts';
import { methodFlags } from '../config/method-flags.ts';
import { readConfig } from '../config/read.ts';
import { prepare } from '../run/prepare.ts';
import { reportOutcome } from '../run/report-outcome.ts';
import { checkOutput, createRun } from '../run/run-folder.ts';
import { trainPrepared } from '../run/train-prepared.ts';
import { readTuning, TUNING, writeTuning } from '../run/tuning.ts';

/** The command with the flags of the method that is asked for. */
export const trainFor = async (argv: readonly string[]) =>
  defineCommand({
    meta: { name: 'graft train', description: 'Fine-tune a model as a configuration says' },
    args: {
      config: { type: 'positional', required: false, description: 'the configuration, a YAML file' },
      overwrite: { type: 'boolean', description: 'Replace a run that is in the output folder' },
      ...configFlags,
      ...(await methodFlags(argv)),
      ...commonFlags,
    },
    async run({ args, data }) {
      const { host, reporter } = data as CommandData;
      const config = await readConfig(args);
      const overwrite = args.overwrite === true;
      await checkOutput(config.output, overwrite);
      reporter.configure({ logEvery: config.training.logEvery });
      const tuning = await readTuning();
      const prepared = await prepare(config, reporter, tuning);
      const run = await createRun(prepared.config, overwrite);
      try {
        // a resumed run computes with the same kernels, whatever is measured until then
        if (tuning) await writeTuning(tuning, join(run.path, TUNING));
        reportOutcome(reporter, await trainPrepared(prepared, run, { host, reporter }));
      } finally {
        await run.release();
        prepared.runtime.gpu.close();
      }
    },
  });

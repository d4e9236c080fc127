import { join } from 'node:path';
import { latestValidCheckpoint } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { defineCommand } from 'citty';
import type { CommandData } from '../cli.ts';
import { commonFlags } from '../common-flags.ts';
import { parseConfig } from '../config/parse.ts';
import { prepare } from '../run/prepare.ts';
import { reportOutcome } from '../run/report-outcome.ts';
import { openRun } from '../run/run-folder.ts';
import { trainPrepared } from '../run/train-prepared.ts';
import { readTuning, TUNING } from '../run/tuning.ts';

export const resume = defineCommand({
  meta: { name: 'graft resume', description: 'Continue an interrupted run from its newest checkpoint' },
  args: {
    run: { type: 'positional', description: 'the run folder' },
    ...commonFlags,
  },
  async run({ args, data }) {
    const { host, reporter } = data as CommandData;
    const run = await openRun(args.run as string);
    try {
      const config = { ...(await parseConfig(run.config, { file: run.file })), output: run.path };
      reporter.configure({ logEvery: config.training.logEvery });
      const { checkpoint, skipped } = await latestValidCheckpoint(nodeFolder(join(run.path, 'checkpoints')));
      for (const { error } of skipped)
        reporter.report({ event: 'note', message: `passed over: ${error.message}` });
      if (!checkpoint)
        reporter.report({
          event: 'note',
          message: 'there is no checkpoint yet: starting from the first step',
        });
      const prepared = await prepare(config, reporter, await readTuning(join(run.path, TUNING)));
      try {
        reportOutcome(reporter, await trainPrepared(prepared, run, { host, reporter, checkpoint }));
      } finally {
        prepared.runtime.gpu.close();
      }
    } finally {
      await run.release();
    }
  },
});

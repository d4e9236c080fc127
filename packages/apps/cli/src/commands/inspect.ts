import { defineCommand } from 'citty';
import type { CommandData } from '../cli.ts';
import { commonFlags } from '../common-flags.ts';
import { inspect as look } from '../inspect/inspect.ts';

export const inspect = defineCommand({
  meta: {
    name: 'graft inspect',
    description: 'Tell what is in a file of weights, or in the folder of a model, adapter, run or checkpoint',
  },
  args: {
    path: { type: 'positional', description: 'a file or a folder' },
    ...commonFlags,
  },
  async run({ args, data }) {
    const { reporter } = data as CommandData;
    const { kind, path, data: found, lines, problems } = await look(args.path as string);
    const verdict =
      problems.length === 0 ? ['no problems found'] : ['problems:', ...problems.map((each) => `  ${each}`)];
    reporter.result({ kind, path, ...found, problems }, [...lines, ...verdict].join('\n'));
  },
});

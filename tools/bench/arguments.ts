import { parseArgs } from 'node:util';
import { groups } from './groups.ts';

/** What the command line asks for. */
export interface Arguments {
  readonly json: boolean;
  /** Groups, in the order in which they run. */
  readonly only: readonly string[];
  readonly rounds: number;
  readonly peers: boolean;
  readonly markdown: boolean;
  /** A Python that has torch, transformers and peft. */
  readonly python?: string;
  /** Where the sources of torchlette are; left out: they are cloned. */
  readonly torchlette?: string;
}

const names = Object.keys(groups);

/** The command line cannot be understood: one line that says why. */
export class ArgumentsError extends Error {
  override readonly name = 'ArgumentsError';
}

export const usage = `Measures Graft on this machine's adapter, and other libraries beside it where that is asked for.

usage: npm run bench -- [options]

  --only NAMES    groups to measure, separated by commas (default: those with *)
  --rounds N      rounds in which all that is compared takes its turn (default 7)
  --peers         measure @tensorflow/tfjs-backend-webgpu, @jax-js/jax and torchlette in turn with Graft;
                  installs them into node_modules/.cache
  --torchlette P  sources of torchlette, in place of a clone
  --python P      a Python with torch, transformers and peft to measure beside (default: GRAFT_PYTHON)
  --markdown      write the figures of these groups into docs/benchmarks.md
  --json          one JSON object a line, the result last
  --help          this text

groups:
${names.map((name) => `  ${groups[name]!.isDefault ? '*' : ' '} ${name.padEnd(18)}${groups[name]!.about}`).join('\n')}
`;

/**
 * @returns undefined where the usage is asked for
 * @throws ArgumentsError
 */
export function readArguments(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Arguments | undefined {
  const { help, only, rounds, python = environment.GRAFT_PYTHON, ...flags } = parse(args);
  if (help) return undefined;
  const chosen = only?.split(',') ?? names.filter((name) => groups[name]!.isDefault);
  const unknown = chosen.find((name) => !Object.hasOwn(groups, name));
  if (unknown !== undefined)
    throw new ArgumentsError(`there is no group '${unknown}'; there are ${names.join(', ')}`);
  const count = Number(rounds);
  if (!(Number.isInteger(count) && count > 0))
    throw new ArgumentsError(`--rounds ${rounds} is not a whole number from 1 on`);
  return { ...flags, ...(python ? { python } : {}), only: chosen, rounds: count };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        json: { type: 'boolean', default: false },
        only: { type: 'string' },
        rounds: { type: 'string', default: '7' },
        peers: { type: 'boolean', default: false },
        markdown: { type: 'boolean', default: false },
        python: { type: 'string' },
        torchlette: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    const [reason] = (error as Error).message.split(/\.( |$)/);
    throw new ArgumentsError(`${reason}; --help lists the options`);
  }
}

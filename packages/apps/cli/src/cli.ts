import { readFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';
import { type ArgsDef, type CommandDef, renderUsage, runCommand } from 'citty';
import { checkArguments } from './check-arguments.ts';
import { verbs } from './commands.ts';
import { UsageError } from './errors.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';
import { faultOf } from './fault.ts';
import type { Host } from './host.ts';
import { jsonReporter, type Reporter } from './report/reporter.ts';
import { textReporter } from './report/text-reporter.ts';
import { didYouMean } from './suggest.ts';

/** What a command is handed beside its arguments. */
export interface CommandData {
  readonly host: Host;
  readonly reporter: Reporter;
}

/**
 * Runs a command line and gives its exit code: 0, or 2 usage or configuration, 3 data, 4 a file of a model or
 * checkpoint, 5 device, 6 diverged, 130 interrupted, 1 anything unexpected. Never throws; an error is one line on
 * stderr and, with `--json`, one object on stdout.
 */
export async function runCli(argv: readonly string[], host: Host): Promise<ExitCode> {
  const json = argv.includes('--json');
  const reporter = json ? jsonReporter(host) : textReporter(host, { quiet: argv.includes('--quiet') });
  try {
    const [verb, ...rest] = argv;
    if (verb === undefined) {
      host.err(`${usage()}\n`);
      return exitCodes.usage;
    }
    if (verb === '--help' || verb === '-h' || verb === 'help') {
      host.out(`${usage()}\n`);
      return exitCodes.ok;
    }
    if (verb === '--version' || verb === '-v') {
      host.out(`${version()}\n`);
      return exitCodes.ok;
    }
    if (!Object.hasOwn(verbs, verb))
      throw new UsageError(
        `there is no verb ${JSON.stringify(verb)}${didYouMean(verb, Object.keys(verbs)) || '; see graft --help'}`,
      );
    const command = await verbs[verb]!.load(rest);
    if (rest.includes('--help') || rest.includes('-h')) {
      host.out(`${await helpOf(command, host)}\n`);
      return exitCodes.ok;
    }
    checkArguments(verb, rest, command.args as ArgsDef);
    const data: CommandData = { host, reporter };
    await runCommand(command, { rawArgs: rest, data });
    return exitCodes.ok;
  } catch (error) {
    const { code, line } = await faultOf(error);
    reporter.fail(line, { code, name: (error as Error)?.name ?? 'Error' });
    if (argv.includes('--debug')) host.err(`${(error as Error)?.stack ?? error}\n`);
    return code;
  } finally {
    reporter.close();
  }
}

function usage(): string {
  const width = Math.max(...Object.keys(verbs).map((verb) => verb.length));
  return [
    `graft ${version()}: fine-tunes transformers with few parameters, on WebGPU`,
    '',
    'usage: graft VERB …',
    '',
    ...Object.entries(verbs).map(([verb, { about }]) => `  ${verb.padEnd(width)}  ${about}`),
    '',
    'graft VERB --help tells what a verb takes.',
  ].join('\n');
}

// biome-ignore lint/suspicious/noExplicitAny: a command's arguments are its own business.
async function helpOf(command: CommandDef<any>, host: Host): Promise<string> {
  const text = (await renderUsage(command)).replace(/ +$/gm, '');
  return host.isTerminal && !host.env.NO_COLOR ? text : stripVTControlCharacters(text);
}

const version = (): string =>
  (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string })
    .version;

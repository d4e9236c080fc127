export { runCli } from './cli.ts';
export { type ParseConfigOptions, parseConfig } from './config/parse.ts';
export { type Config, configSchema } from './config/schema.ts';
export { ConfigError, InterruptedError, RunFolderError, UsageError } from './errors.ts';
export { type ExitCode, exitCodes } from './exit-code.ts';
export { type Host, processHost } from './host.ts';
export { MethodCatalog } from './methods/catalog.ts';
export type { NoteEvent, ReportEvent, StartEvent } from './report/reporter.ts';

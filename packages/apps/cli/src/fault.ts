import {
  ConfigError,
  InterruptedError,
  LossError,
  RunFolderError,
  TuningFileError,
  UsageError,
} from './errors.ts';
import { type ExitCode, exitCodes } from './exit-code.ts';

/** What a failed command says and ends with. */
export interface Fault {
  readonly code: ExitCode;
  /** One line: what, where, what to do. */
  readonly line: string;
}

const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, ' ').trim();

/** The exit code and the line of an error, by its class. The packages are loaded only here: most commands end well. */
export async function faultOf(error: unknown): Promise<Fault> {
  if (!(error instanceof Error)) return { code: exitCodes.unexpected, line: oneLine(String(error)) };
  const system = error as NodeJS.ErrnoException;
  if (system.code !== undefined && system.syscall !== undefined)
    return {
      code: exitCodes.unexpected,
      line: `${system.path ?? 'a file'}: ${system.syscall} failed (${system.code}): check the path, the permissions and the space on the disk`,
    };
  // Where a package cannot even be loaded, that is the fault to tell of.
  const code = await codeOf(error).catch(() => exitCodes.unexpected);
  const line = oneLine(error.message);
  return code === exitCodes.unexpected
    ? { code, line: `unexpected ${error.name}: ${line}; run again with --debug for the stack, and report it` }
    : { code, line };
}

async function codeOf(error: Error): Promise<ExitCode> {
  if (
    error instanceof UsageError ||
    error instanceof ConfigError ||
    error instanceof RunFolderError ||
    error instanceof TuningFileError
  )
    return exitCodes.usage;
  if (error instanceof InterruptedError) return exitCodes.interrupted;
  if (error instanceof LossError) return exitCodes.diverged;
  const [webgpu, checkpoint, data, nn, models, generate, peft, trainer] = await Promise.all([
    import('@graftjs/webgpu'),
    import('@graftjs/checkpoint'),
    import('@graftjs/data'),
    import('@graftjs/nn'),
    import('@graftjs/models'),
    import('@graftjs/generate'),
    import('@graftjs/peft'),
    import('@graftjs/trainer'),
  ]);
  if (error instanceof checkpoint.FolderLockedError || error instanceof generate.ContextLengthError)
    return exitCodes.usage;
  // A template that fails for a row is the data's fault; one that fails by itself, the model's.
  if (error instanceof data.ChatTemplateError)
    return error.rows.length > 0 ? exitCodes.data : exitCodes.modelFile;
  if (error instanceof data.DataError) return exitCodes.data;
  if (error instanceof trainer.DivergedError || error instanceof generate.LogitsError)
    return exitCodes.diverged;
  const modelFile = [
    checkpoint.CheckpointError,
    data.TokenizerError,
    models.ConfigError,
    nn.StateDictError,
    peft.PeftError,
    trainer.ResumeError,
  ];
  if (modelFile.some((each) => error instanceof each)) return exitCodes.modelFile;
  const device = [
    webgpu.NoAdapterError,
    webgpu.OutOfMemoryError,
    webgpu.DeviceLostError,
    trainer.RunLostError,
    webgpu.DeviceClosedError,
    webgpu.LimitError,
    webgpu.ShaderError,
    webgpu.ValidationError,
  ];
  if (device.some((each) => error instanceof each)) return exitCodes.device;
  return exitCodes.unexpected;
}

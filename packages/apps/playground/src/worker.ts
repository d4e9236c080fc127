/** Training, off the page's thread: opens the device at once, then trains when asked to. */
import { Runtime } from '@graftjs/compiler';
import { type QuickstartEvent, type QuickstartResult, runQuickstart } from '@graftjs/quickstart';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { builtInBase, builtInText } from './built-in.ts';
import type { Reply, Request } from './messages.ts';
import { PauseGate } from './pause-gate.ts';

const scope = globalThis as unknown as {
  postMessage(message: Reply): void;
  onmessage: ((message: MessageEvent<Request>) => void) | null;
};
const reply = (message: Reply): void => scope.postMessage(message);
const tell = (event: QuickstartEvent): void => reply({ type: 'event', event });

let opened: Promise<Runtime> | undefined;
/** Of the last run. */
let sampleLast: QuickstartResult['sample'] | undefined;
let run: { readonly gate: PauseGate; readonly stop: AbortController } | undefined;

/** The runtime, which lives as long as its device. */
function runtime(): Promise<Runtime> {
  opened ??= openGpu().then((gpu: Gpu) => {
    void gpu.lost.then(() => {
      opened = undefined;
    });
    return new Runtime(gpu, { onCompile: (done, total) => tell({ event: 'compile', done, total }) });
  });
  return opened;
}

async function train({ settings, text }: Extract<Request, { type: 'train' }>): Promise<void> {
  const gate = new PauseGate();
  const stop = new AbortController();
  run = { gate, stop };
  sampleLast = undefined;
  try {
    const { sample, ...result } = await runQuickstart({
      ...settings,
      runtime: await runtime(),
      base: await builtInBase(),
      baseName: '@graftjs/tiny-llama',
      train: text ?? { content: await builtInText('train') },
      ...(text ? {} : { heldOut: { content: await builtInText('heldout') } }),
      onEvent: tell,
      beforeStep: () => gate.passed(),
      signal: stop.signal,
    });
    sampleLast = sample;
    reply({ type: 'done', result });
  } catch (error) {
    if (stop.signal.aborted && error === stop.signal.reason) reply({ type: 'stopped' });
    else fail(error as Error);
  } finally {
    run = undefined;
  }
}

const fail = ({ name, message }: Error): void => reply({ type: 'failed', name, message });

scope.onmessage = ({ data }) => {
  switch (data.type) {
    case 'train':
      if (!run) void train(data);
      break;
    case 'pause':
      run?.gate.close();
      break;
    case 'resume':
      run?.gate.open();
      break;
    case 'stop':
      run?.stop.abort();
      run?.gate.open();
      break;
    case 'sample':
      sampleLast?.(data.prompt).then((sample) => reply({ type: 'sample', sample }), fail);
      break;
    default:
      data satisfies never;
  }
};

runtime().then(
  ({ gpu }) => {
    reply({ type: 'device', traits: gpu.traits });
    // While the reader looks around, the model's files arrive.
    builtInBase().catch(() => {});
  },
  (error: Error) => {
    opened = undefined;
    reply({ type: 'no-device', message: error.message });
  },
);

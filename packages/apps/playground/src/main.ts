import { type QuickstartEvent, quickstartRecipe } from '@graftjs/quickstart';
import { AdapterCard } from './adapter-card.ts';
import { showDevice, showNoDevice } from './device-card.ts';
import { byId } from './dom.ts';
import { durationText, lossText } from './format.ts';
import { Knobs } from './knobs.ts';
import { LossChart } from './loss-chart.ts';
import type { Reply, Request, RunResult } from './messages.ts';
import { OwnText } from './own-text.ts';
import { RunView } from './run-view.ts';
import { SamplesView } from './samples-view.ts';
import { TryOut } from './try-out.ts';

type State = 'opening' | 'no-device' | 'ready' | 'running' | 'paused' | 'stopping' | 'sampling';

const buttons = {
  train: byId<HTMLButtonElement>('train'),
  pause: byId<HTMLButtonElement>('pause'),
  stop: byId<HTMLButtonElement>('stop'),
};
const view = new RunView();
const samples = new SamplesView(quickstartRecipe.prompts);
const adapter = new AdapterCard();
const tryOut = new TryOut((prompt) => {
  enter('sampling');
  view.announce('Both models write');
  ask({ type: 'sample', prompt });
});
const knobs = new Knobs(new URLSearchParams(location.search));
const chart = new LossChart(knobs.steps);
const ownText = new OwnText((message) => view.problem(message));

let state: State = 'opening';
/** Train was clicked before the device was open. */
let wanted = false;
/** What the status says while training; a pause hides it. */
let phase = '';
const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'graft' });
const ask = (request: Request): void => worker.postMessage(request);

const isRun = (which: State): boolean => which === 'running' || which === 'paused' || which === 'stopping';

function enter(next: State): void {
  const focused = document.activeElement;
  const running = isRun(next);
  const ended = isRun(state) && !running;
  state = next;
  document.body.dataset.state = next;
  buttons.train.hidden = running;
  buttons.pause.hidden = !running;
  buttons.stop.hidden = !running;
  buttons.train.disabled = next === 'no-device' || next === 'sampling';
  tryOut.disabled = next !== 'ready';
  buttons.pause.disabled = next === 'stopping';
  buttons.stop.disabled = next === 'stopping';
  buttons.pause.textContent = next === 'paused' ? 'Resume' : 'Pause';
  knobs.disabled = running;
  // The button that was used is gone: the keyboard goes on with what took its place.
  if (running && focused === buttons.train) buttons.pause.focus();
  if (ended && (focused === buttons.pause || focused === buttons.stop || focused === document.body))
    buttons.train.focus({ preventScroll: true });
}

function train(): void {
  if (state === 'opening') {
    wanted = true;
    return;
  }
  const settings = state === 'ready' ? knobs.read() : undefined;
  if (!settings) return;
  const text = ownText.read();
  const steps = settings.steps!;
  view.reset(steps);
  chart.start(steps);
  samples.reset(text ? [] : quickstartRecipe.prompts);
  adapter.hide();
  tryOut.hidden = true;
  enter('running');
  ask({ type: 'train', settings, text });
}

const phases: Readonly<Record<Extract<QuickstartEvent, { event: 'phase' }>['phase'], string>> = {
  load: 'Reading the model and the text',
  'sample-before': 'The base model writes its samples',
  evaluate: 'Measuring the base model on held-out text',
  train: 'Training',
  'sample-after': 'The tuned model writes its samples',
};

function onEvent(event: QuickstartEvent): void {
  switch (event.event) {
    case 'phase':
      phase = phases[event.phase];
      if (state !== 'paused') view.announce(phase);
      if (event.phase === 'sample-after') enter('stopping');
      break;
    case 'compile':
      view.status(
        event.done < event.total ? `${phase}: compiling kernel ${event.done} of ${event.total}` : phase,
      );
      break;
    case 'sample':
      samples.show(event.when, event.prompt, event.text);
      break;
    case 'evaluation':
      view.heldOut(event.loss);
      chart.addHeldOut(event.step, event.loss);
      break;
    case 'step':
      view.step(event);
      chart.addLoss(event.step, event.loss);
      if (state === 'running') view.status(phase);
      break;
    case 'start':
    case 'checkpoint':
      break;
    default:
      event satisfies never;
  }
}

function onDone(result: RunResult): void {
  enter('ready');
  buttons.train.textContent = 'Train again';
  samples.finish(result.samples);
  adapter.show(result);
  tryOut.hidden = false;
  const { heldOutLossBefore, heldOutLossAfter, interrupted, steps, seconds } = result;
  view.announce(
    `${interrupted ? `Stopped after ${steps} steps` : 'Done'} in ${durationText(seconds)}: the held-out loss went from ${lossText(heldOutLossBefore)} to ${lossText(heldOutLossAfter)}.`,
  );
}

worker.onmessage = ({ data }: MessageEvent<Reply>) => {
  switch (data.type) {
    case 'device':
      showDevice(data.traits);
      if (data.traits.isCpu) {
        knobs.suggestForCpu();
        chart.start(knobs.steps);
      }
      enter('ready');
      view.status('Ready');
      if (wanted) train();
      break;
    case 'no-device':
      showNoDevice(data.message);
      enter('no-device');
      view.status('');
      break;
    case 'event':
      onEvent(data.event);
      break;
    case 'done':
      onDone(data.result);
      break;
    case 'sample':
      enter('ready');
      view.announce('Both have written.');
      break;
    case 'stopped':
      enter('ready');
      view.announce('Stopped before the first step.');
      break;
    case 'failed':
      enter('ready');
      view.problem(data.message);
      break;
    default:
      data satisfies never;
  }
};
worker.onerror = ({ message }) => {
  enter('no-device');
  view.problem(`The training worker could not be loaded (${message}). Reload the page.`);
};

buttons.train.addEventListener('click', train);
knobs.onSubmit(train);
buttons.pause.addEventListener('click', () => {
  const pausing = state === 'running';
  ask({ type: pausing ? 'pause' : 'resume' });
  enter(pausing ? 'paused' : 'running');
  view.announce(pausing ? 'Paused' : phase);
});
buttons.stop.addEventListener('click', () => {
  ask({ type: 'stop' });
  enter('stopping');
  view.announce('Stopping after this step');
});
enter('opening');

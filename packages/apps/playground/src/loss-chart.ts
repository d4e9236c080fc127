// first: uPlot reads the language as it loads
import './locale.ts';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { byId, make } from './dom.ts';
import { lossText } from './format.ts';

type Point = { readonly step: number; loss?: number; heldOut?: number };

/** The curve of a run: every batch's loss, and the held-out loss where it was measured. */
export class LossChart {
  readonly #box = byId('chart');
  readonly #points = new Map<number, Point>();
  #plot: uPlot | undefined;
  #totalSteps: number;
  #drawing = false;

  constructor(totalSteps: number) {
    this.#totalSteps = totalSteps;
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(this.#box);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#make());
    this.#make();
  }

  start(totalSteps: number): void {
    this.#points.clear();
    this.#totalSteps = totalSteps;
    byId('table-body').replaceChildren();
    byId('table-details').hidden = true;
    this.#make();
  }

  addLoss(step: number, loss: number): void {
    this.#at(step).loss = loss;
    this.#drawSoon();
  }

  addHeldOut(step: number, loss: number): void {
    this.#at(step).heldOut = loss;
    this.#drawSoon();
    byId('table-body').append(
      make('tr', {}, make('td', { textContent: String(step) }), make('td', { textContent: loss.toFixed(3) })),
    );
    byId('table-details').hidden = false;
    const heldOut = [...this.#points.values()].flatMap((p) => p.heldOut ?? []);
    this.#box.setAttribute(
      'aria-label',
      `Loss over steps. Held-out loss was ${lossText(heldOut[0]!)} before training and is ${lossText(loss)} at step ${step}.`,
    );
  }

  #at(step: number): Point {
    const point = this.#points.get(step) ?? { step };
    this.#points.set(step, point);
    return point;
  }

  /** At most one drawing a frame, however fast the steps are. */
  #drawSoon(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#plot?.setData(this.#data());
    });
  }

  #data(): uPlot.AlignedData {
    const points = [...this.#points.values()].sort((a, b) => a.step - b.step);
    return [
      points.map((p) => p.step),
      points.map((p) => p.loss ?? null),
      points.map((p) => p.heldOut ?? null),
    ];
  }

  #size(): { width: number; height: number } {
    const width = Math.max(200, this.#box.clientWidth);
    return { width, height: Math.round(Math.min(300, Math.max(190, width * 0.42))) };
  }

  #make(): void {
    this.#plot?.destroy();
    const style = getComputedStyle(document.documentElement);
    const color = (name: string): string => style.getPropertyValue(name).trim();
    const axis: uPlot.Axis = {
      stroke: color('--quiet'),
      font: `12px ${style.fontFamily}`,
      grid: { stroke: color('--line'), width: 1 },
      ticks: { show: false },
    };
    this.#plot = new uPlot(
      {
        ...this.#size(),
        legend: { show: false },
        padding: [8, 18, 0, 0],
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
        scales: {
          x: { time: false, range: () => [0, this.#totalSteps] },
          y: { range: (_, least, most) => lossRange(least, most) },
        },
        axes: [
          { ...axis, grid: { show: false }, space: 60, size: 28, incrs: wholeSteps },
          { ...axis, size: 44, space: 40, values: (_, splits) => splits.map((v) => v.toFixed(1)) },
        ],
        series: [
          {},
          { stroke: color('--train-line'), width: 1.5, spanGaps: true, points: { show: false } },
          {
            stroke: color('--accent'),
            width: 2.5,
            spanGaps: true,
            points: { show: true, size: 7, fill: color('--accent') },
          },
        ],
        hooks: { setCursor: [(plot) => this.#showReadout(plot)] },
      },
      this.#data(),
      this.#box,
    );
  }

  #showReadout({ cursor, data }: uPlot): void {
    const index = cursor.idx;
    const step = index == null ? undefined : data[0][index];
    const part = (name: string, value: number | null | undefined): string =>
      value == null ? '' : `, ${name} ${value.toFixed(3)}`;
    byId('readout').textContent =
      index == null || step === undefined
        ? ''
        : `step ${step}${part('batch', data[1]![index])}${part('held out', data[2]![index])}`;
  }
}

/** Distances between the numbers of the axis of steps. */
const wholeSteps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** Half units around the values; something sensible before there are any. */
const lossRange = (least: number | null, most: number | null): [number, number] => {
  if (least === null || most === null) return [2, 8];
  return [Math.max(0, Math.floor(least * 2 - 0.2) / 2), Math.ceil(most * 2 + 0.2) / 2];
};

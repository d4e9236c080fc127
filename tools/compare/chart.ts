import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { Ablated } from './train.ts';

/** A method as a point. */
export interface Point {
  readonly method: string;
  readonly parameters: number;
  readonly value: number;
}

/** Quality over trained parameters, as an SVG document of its own. */
export function chart(points: readonly Point[], { title, value }: { title: string; value: string }): string {
  const { document } = parseHTML('<html><body></body></html>');
  const svg = Plot.plot({
    document,
    width: 760,
    height: 440,
    marginLeft: 56,
    marginRight: 90,
    style: { background: 'white', color: '#222', fontSize: '12px' },
    x: { type: 'log', label: 'parameters trained →', grid: true, ticks: 5, tickFormat: '~s' },
    y: { label: `↑ ${value}`, grid: true, nice: true },
    marks: [
      Plot.dot(points, { x: 'parameters', y: 'value', r: 4, fill: '#2b6cb0' }),
      Plot.text(points, { x: 'parameters', y: 'value', text: 'method', dx: 8, textAnchor: 'start' }),
    ],
  }) as SVGElement;
  return standalone(svg, title);
}

function standalone(svg: SVGElement, title: string): string {
  // rules for pages; the document stands alone
  svg.querySelector('style')?.remove();
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', title);
  return `${svg.outerHTML}\n`;
}

/** Accuracy over the number of layers whose adapters are taken out, from below and from above. */
export function curve(ablated: readonly Ablated[]): string {
  const { document } = parseHTML('<html><body></body></html>');
  const most = Math.max(...ablated.map(({ end }) => end));
  const point = ({ first, end, quality }: Ablated, side: string) => ({
    side,
    layers: end - first,
    accuracy: 100 * quality.accuracy!,
  });
  const points = [
    ...ablated.filter(({ first }) => first === 0).map((each) => point(each, 'the lowest')),
    ...ablated.filter(({ end }) => end === most || end === 0).map((each) => point(each, 'the highest')),
  ].sort((a, b) => a.layers - b.layers);
  const title = 'Accuracy without the adapters of some layers';
  const svg = Plot.plot({
    document,
    width: 640,
    height: 360,
    marginLeft: 56,
    marginRight: 90,
    style: { background: 'white', color: '#222', fontSize: '12px' },
    x: { label: 'layers whose adapters are taken out →', ticks: most, tickFormat: 'd' },
    y: { label: '↑ accuracy on held-out texts, %', grid: true, nice: true },
    color: { domain: ['the lowest', 'the highest'], range: ['#2b6cb0', '#c05621'] },
    marks: [
      Plot.line(points, { x: 'layers', y: 'accuracy', stroke: 'side', z: 'side' }),
      Plot.dot(points, { x: 'layers', y: 'accuracy', fill: 'side', r: 3 }),
      Plot.text(points, {
        x: 'layers',
        y: 'accuracy',
        text: 'side',
        filter: ({ layers }: { layers: number }) => layers === Math.ceil(most / 2),
        dx: 8,
        textAnchor: 'start',
      }),
    ],
  }) as SVGElement;
  return standalone(svg, title);
}

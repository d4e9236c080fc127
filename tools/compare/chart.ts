import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';

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
  // rules for pages; the document stands alone
  svg.querySelector('style')?.remove();
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', title);
  return `${svg.outerHTML}\n`;
}

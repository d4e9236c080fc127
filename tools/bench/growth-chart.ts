import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { GrowthPoint } from './growth.ts';

/** Curves on logarithmic axes, each over what it grows with, as an SVG document of its own. */
export function growthChart(points: readonly GrowthPoint[]): string {
  const { document } = parseHTML('<html><body></body></html>');
  const smallest = new Map<string, number>();
  for (const { by, x } of points) smallest.set(by, Math.min(x, smallest.get(by) ?? x));
  // each curve begins at 1, so that slopes can be compared
  const scaled = points.map((point) => ({ ...point, times: point.x / smallest.get(point.by)! }));
  const channels = { x: 'times', y: 'milliseconds', stroke: 'by' } as const;
  const svg = Plot.plot({
    document,
    width: 760,
    height: 480,
    marginLeft: 56,
    marginRight: 130,
    style: { background: 'white', color: '#222', fontSize: '12px' },
    x: { type: 'log', label: 'times the smallest →', grid: true, ticks: 5, tickFormat: '~s' },
    y: { type: 'log', label: '↑ ms', grid: true, ticks: 5, tickFormat: '~s' },
    marks: [
      Plot.line(scaled, channels),
      Plot.dot(scaled, { ...channels, r: 3, fill: 'by' }),
      Plot.text(
        scaled,
        Plot.selectLast({ x: 'times', y: 'milliseconds', z: 'by', text: 'by', dx: 8, textAnchor: 'start' }),
      ),
    ],
  }) as SVGElement;
  // rules for pages; the document stands alone
  svg.querySelector('style')?.remove();
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', 'Milliseconds of a LoRA step and of making its plan, on logarithmic axes');
  return `${svg.outerHTML}\n`;
}

import type { Sample } from '@graftjs/quickstart';
import { byId, make } from './dom.ts';

/** Beginnings with what the base and the tuned model make of them, side by side. */
export class SamplesView {
  readonly #box = byId('samples');
  readonly #rows = new Map<string, { readonly before: HTMLElement; readonly after: HTMLElement }>();

  constructor(prompts: readonly string[]) {
    this.reset(prompts);
  }

  reset(prompts: readonly string[]): void {
    this.#rows.clear();
    this.#box.replaceChildren();
    for (const prompt of prompts) this.#row(prompt);
  }

  show(when: 'before' | 'after', prompt: string, text: string): void {
    const cell = this.#row(prompt)[when];
    cell.classList.remove('empty');
    cell.replaceChildren(make('b', { textContent: prompt }), text === '' ? ' (nothing more)' : text);
  }

  finish(samples: readonly Sample[]): void {
    for (const { prompt, before, after } of samples) {
      this.show('before', prompt, before);
      this.show('after', prompt, after);
    }
  }

  #row(prompt: string): { readonly before: HTMLElement; readonly after: HTMLElement } {
    const known = this.#rows.get(prompt);
    if (known) return known;
    const cell = (): HTMLElement =>
      make('blockquote', { className: 'empty' }, make('b', { textContent: prompt }), ' …');
    const row = { before: cell(), after: cell() };
    const column = (label: string, quote: HTMLElement): HTMLElement =>
      make('div', {}, make('h3', { textContent: label }), quote);
    this.#box.append(
      make('div', { className: 'pair' }, column('Before', row.before), column('After', row.after)),
    );
    this.#rows.set(prompt, row);
    return row;
  }
}

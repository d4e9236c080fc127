import type { QuickstartText } from '@graftjs/quickstart';
import { byId } from './dom.ts';
import { countText } from './format.ts';

/** Larger files would have to be streamed. */
const mostBytes = 50e6;

/** The reader's own text: pasted, chosen or dropped anywhere on the page. */
export class OwnText {
  readonly #area = byId<HTMLTextAreaElement>('own-text');
  readonly #summary = byId('text-summary');
  readonly #clear = byId<HTMLButtonElement>('clear-text');
  readonly #builtIn = this.#summary.textContent ?? '';
  readonly #onProblem: (message: string) => void;
  /** Name and whole content of a file; the area shows its beginning. */
  #file: { readonly name: string; readonly content: string } | undefined;

  constructor(onProblem: (message: string) => void) {
    this.#onProblem = onProblem;
    this.#area.addEventListener('input', () => {
      this.#file = undefined;
      this.#show();
    });
    this.#clear.addEventListener('click', () => {
      this.#file = undefined;
      this.#area.value = '';
      this.#show();
      this.#area.focus();
    });
    const chooser = byId<HTMLInputElement>('own-file');
    chooser.addEventListener('change', () => {
      const file = chooser.files?.[0];
      if (file) void this.#take(file);
      chooser.value = '';
    });
    const card = byId('text-card');
    for (const type of ['dragenter', 'dragover'])
      addEventListener(type, (event) => {
        event.preventDefault();
        card.classList.add('target');
      });
    for (const type of ['dragleave', 'drop']) addEventListener(type, () => card.classList.remove('target'));
    addEventListener('drop', (event) => {
      event.preventDefault();
      const file = event.dataTransfer?.files[0];
      if (file) void this.#take(file);
    });
  }

  /** Undefined: the built-in text. */
  read(): QuickstartText | undefined {
    if (this.#file) return { content: this.#file.content, file: this.#file.name };
    const content = this.#area.value;
    if (content.trim() === '') return undefined;
    return { content, file: looksLikeRows(content) ? 'pasted.jsonl' : 'pasted.txt' };
  }

  async #take(file: File): Promise<void> {
    if (file.size > mostBytes) {
      this.#onProblem(`${file.name} has ${countText(file.size / 1e6)} MB; this page takes up to 50 MB.`);
      return;
    }
    try {
      const content = new TextDecoder('utf-8', { fatal: true }).decode(await file.arrayBuffer());
      this.#file = { name: file.name, content };
      this.#area.value = content.length > 2000 ? `${content.slice(0, 2000)}…` : content;
      this.#show();
    } catch {
      this.#onProblem(`${file.name} is not UTF-8 text: save it as UTF-8, as .txt or .jsonl.`);
    }
  }

  #show(): void {
    const text = this.read();
    this.#clear.hidden = text === undefined;
    this.#summary.textContent =
      text === undefined
        ? this.#builtIn
        : `Your text${this.#file ? ` (${this.#file.name})` : ''}, ${countText(text.content.length)} characters. A tenth is held out to measure by.`;
  }
}

/** Whether pasted text is JSON Lines or a JSON array rather than prose. */
const looksLikeRows = (content: string): boolean => {
  const first = content.trim().split('\n', 1)[0]!;
  return /^\s*(\{"|\{\s*"|\[\s*(\{|$))/.test(first);
};

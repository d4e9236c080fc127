import { byId } from './dom.ts';

/** The field for a beginning of the reader's own. */
export class TryOut {
  readonly #form = byId<HTMLFormElement>('try');
  readonly #prompt = byId<HTMLInputElement>('try-prompt');
  readonly #button = byId<HTMLButtonElement>('try-button');

  constructor(onPrompt: (prompt: string) => void) {
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      const prompt = this.#prompt.value.trim();
      if (prompt !== '' && !this.#button.disabled) onPrompt(prompt);
    });
  }

  set hidden(hidden: boolean) {
    this.#form.hidden = hidden;
  }

  set disabled(disabled: boolean) {
    this.#button.disabled = disabled;
  }
}

import { fileURLToPath } from 'node:url';

/** The folder with the model in Hugging Face's layout, and `quickstart/` with the text. */
export const tinyLlamaFolder: string = fileURLToPath(new URL('../files', import.meta.url));

import type { Runtime } from '@graftjs/compiler';
import type { Tokenizer } from '@graftjs/data';
import { Generator } from '@graftjs/generate';
import type { CausalLM } from '@graftjs/models';
import type { Recipe } from './recipe.ts';

/**
 * What the model, as it is now, makes of the recipe's prompts: the same draws each time. Without the prompts.
 * @throws the signal's reason
 */
export async function writeSamples(
  runtime: Runtime,
  model: CausalLM,
  tokenizer: Tokenizer,
  recipe: Pick<Recipe, 'prompts' | 'sampleTokens' | 'temperature' | 'topP' | 'seed'>,
  options: { readonly onSample: (prompt: string, text: string) => void; readonly signal?: AbortSignal },
): Promise<string[]> {
  const { prompts, sampleTokens, temperature, topP, seed } = recipe;
  const generator = new Generator(runtime, model);
  const texts: string[] = [];
  try {
    for (const [i, prompt] of prompts.entries()) {
      options.signal?.throwIfAborted();
      const ids = await generator.generate(tokenizer.encode(prompt), {
        maxNewTokens: sampleTokens,
        temperature,
        topP,
        seed: seed + i,
      });
      const text = tokenizer.decode(ids, { skipSpecialTokens: true });
      texts.push(text);
      options.onSample(prompt, text);
    }
  } finally {
    generator.close();
  }
  return texts;
}

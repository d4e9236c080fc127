import { benchAttention, benchLongAttention } from './attention.ts';
import type { Bench } from './bench.ts';
import { benchBundle } from './bundle.ts';
import { benchCrossEntropy } from './cross-entropy.ts';
import { benchFirstStep } from './first-step.ts';
import { benchGeneration } from './generation.ts';
import { benchGrowth } from './growth.ts';
import { benchHalfWeights } from './half-weights.ts';
import { benchLlama1b } from './llama-1b.ts';
import { benchLoading } from './loading.ts';
import { benchLongRun } from './long-run.ts';
import { benchLoraStep } from './lora-step.ts';
import { benchMatmul } from './matmul.ts';
import { benchLongModelSteps, benchModelSteps } from './model-steps.ts';
import { benchNorms } from './norms.ts';
import { benchPyTorch, benchPyTorchWhole } from './pytorch.ts';
import { benchReplay } from './replay.ts';
import type { Row } from './report.ts';
import { benchStepProducts } from './step-products.ts';

/** Measurements that are asked for by one name. */
export interface Group {
  readonly about: string;
  /** Run when no group is named. */
  readonly isDefault: boolean;
  readonly measure: (bench: Bench) => Promise<Row[]>;
}

const usual = (about: string, measure: Group['measure']): Group => ({ about, isDefault: true, measure });
const onDemand = (about: string, measure: Group['measure']): Group => ({ about, isDefault: false, measure });

/** In the order of the document. */
export const groups: Readonly<Record<string, Group>> = {
  matmul: usual('matrix products of a small step, beside the peers', benchMatmul),
  'step-products': usual(
    "all products of GPT-2's and SmolLM2-135M's steps, ranks 4 to 64",
    benchStepProducts,
  ),
  attention: usual('attention of 256 to 2,048 tokens, forward and backward', benchAttention),
  'attention-long': onDemand('attention of 4,096 and 8,192 tokens', benchLongAttention),
  norms: usual('layer norm and RMS norm', benchNorms),
  'cross-entropy': usual('cross entropy of 50,257 and 128,256 classes', benchCrossEntropy),
  'lora-step': usual('LoRA steps of small models, beside the peers', benchLoraStep),
  'model-steps': usual('LoRA and QLoRA steps of whole models, 128 tokens', benchModelSteps),
  'model-steps-long': onDemand(
    'the same of 512 to 2,048 tokens: by its operations, 40 minutes on two cores',
    benchLongModelSteps,
  ),
  pytorch: usual('LoRA steps beside PyTorch and PEFT on the processor: needs --python', benchPyTorch),
  'pytorch-models': onDemand('the same of whole models', benchPyTorchWhole),
  generation: usual('prompts and new tokens a second', benchGeneration),
  loading: usual('from safetensors and GGUF to weights on the device', benchLoading),
  'first-step': usual('a new process to its first step, kernels cold and warm', benchFirstStep),
  growth: usual('steps over tokens, batch, layers, width; plans over dispatches', benchGrowth),
  'long-run': onDemand('2,000 steps: whether memory and time stay flat', benchLongRun),
  'llama-1b': onDemand('a step of a 1.1-billion-parameter model in NF4: minutes', benchLlama1b),
  'half-weights': onDemand('a fine-tune on a base in f32, f16 and bf16', benchHalfWeights),
  replay: usual("JavaScript's part of a step", benchReplay),
  bundle: usual('bytes that a page loads', benchBundle),
};

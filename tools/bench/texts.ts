/** Title and explanation of each group in docs/benchmarks.md. */
export const texts: Readonly<Record<string, readonly [title: string, text: string]>> = {
  matmul: [
    'Matrix products',
    `\`[m, k] x [k, n]\`; \`x Wᵀ\` is \`nt\`, its gradients \`nn\` and \`tn\`. Figures of other libraries are GFLOP/s. Graft's
results are checked against float64, the others' against Graft's, within 10⁻⁵ of the largest element.`,
  ],
  'step-products': [
    'All products of a step',
    `What a LoRA step of GPT-2 and of SmolLM2-135M multiplies, 512 tokens; the head's products are of 128, since the loss takes
rows in chunks, and their weights are f16. Adapters are of layers of width 768. Graft alone.`,
  ],
  attention: [
    'Attention',
    'Causal, 8 heads of 32 on 4 of keys, one sequence: the kernel, which stores no scores, beside its decomposition.',
  ],
  'attention-long': ['Attention of long texts', 'The same of 4,096 and 8,192 tokens, by the kernel.'],
  norms: [
    'Norms',
    `Rows of 768. Bytes are those that a pass has to move: two tensors forward; x, the output, its gradient twice and the
input's gradient with the backward pass.`,
  ],
  'cross-entropy': [
    'Cross entropy',
    `256 tokens with gradients: of logits that are in memory, and of the product of a head of width 512 in f16, whose logits
never are whole.`,
  ],
  'lora-step': [
    'A LoRA step',
    `Small models, rank 8 on every linear layer (the GPT-2: on \`c_attn\` and \`c_fc\`, where torchlette's model has adapters):
the batch is handed over, then forward, backward and AdamW, and the loss is read. Figures of other libraries are
milliseconds of the same step from the same weights; five losses in a row agree within 10⁻⁴ relative
(torchlette's within 5 x 10⁻⁴), else there is no figure. In jax-js the step is one \`jit\` with \`nn.dotProductAttention\`; in tfjs it is \`optimizer.minimize\` with
\`tf.train.adam\`; torchlette runs its own \`GPT2WithLoRA\` and \`Adam\`. "First step" has the kernels in the driver's disk cache.
"Peak" is what the device has allocated, "weights" what base and adapter are of it.`,
  ],
  'model-steps': [
    'LoRA steps of whole models',
    `Shapes of the models, random weights, those of GPT-2s in f16 (a table of 50,257 x 768 in f32 is more than llvmpipe's 128 MiB
of a binding), the others' in f32; rank 8 on every linear layer, 128 tokens; once with the base in NF4 with
double quantization. "Planned" is what \`program.explain()\` says before anything runs, "peak" what the device had.`,
  ],
  'model-steps-long': ['LoRA steps of long texts', 'The same of 512 to 2,048 tokens, each once.'],
  pytorch: [
    'Beside PyTorch and PEFT',
    `What a user has without Graft: the same LoRA step by PyTorch on the processor, \`transformers\` and PEFT loading the base and
the adapter that Graft wrote. Five losses agree within 10⁻⁴ relative, else there is no figure. Resident bytes are the peak of
a process that loads the files and takes five steps (Graft's adapter runs on the processor here, so that its memory is in
them); PyTorch's are after the measured steps, too.`,
  ],
  'pytorch-models': ['Whole models beside PyTorch and PEFT', 'The same for shapes of whole models.'],
  generation: [
    'Generation',
    'Greedy, with a cache of keys and values, random weights. "Cold" is the first text, with compilation.',
  ],
  loading: [
    'Loading',
    `SmolLM2-135M's shapes from a file to weights on the device. Files are in the system's cache, so that disks do not count.
Blocks of the GGUF file are of bytes that count up.`,
  ],
  'first-step': [
    'The first step',
    `A new process: asking for the device; graph, plan and compilation; upload and first run; second run. Cold: Mesa's cache of
compiled kernels is empty.`,
  ],
  growth: [
    'Growth',
    `A LoRA step of a small Llama (2 x 128 tokens, 2 layers, width 128), one extent varied at a time, and the making of a plan
over its dispatches. The exponent is that of a power law through the upper half of the points, "worst factor" how far a point
is from it. [All points](benchmarks/growth.json).

![Time over extents, on logarithmic axes](benchmarks/growth.svg)`,
  ],
  'long-run': [
    'A long run',
    `2,000 LoRA steps of a small Llama, sampled every 40 after 120 to warm up: "growth" is what the line through all samples
gains over the run, as a fraction of their mean. Flat: at most 0.001 of device memory, 0.02 of the heap after a collection,
0.1 of the median time.`,
  ],
  'llama-1b': [
    '1.1 billion parameters within 2 GiB',
    `TinyLlama's shape with random weights that are made in NF4 with nested factors, embeddings and head in f16; LoRA of rank 8 on
every linear layer, one text of 512 tokens, every block computed again in the backward pass. "Planned" is
\`program.explain().peakBytes\` before anything runs.`,
  ],
  'half-weights': [
    'Weights in 16 bits',
    `The quickstart's fine-tune, 50 steps, with the base stored in f32, f16 and bf16 (moved by up to 0.2 % first, since its file is
of f16): held-out losses of three seeds, which have first weights and an order of examples of their own.`,
  ],
  replay: [
    'Replay',
    `Processor time for a LoRA step that is compiled, Dawn's own and that of the garbage collector included: on Dawn's null
backend, which takes and checks commands and executes none. Its plans have a few dispatches more, since it offers no
subgroups.`,
  ],
  bundle: [
    'In a page',
    `Engine, LoRA, Llama, AdamW and the reading of model folders, bundled and minified; the tokenizer is not in it. What some pages
need comes on demand (with gzip, on 2026-11-28): 6,422 bytes for quantized weights, 2,636 to save or load an adapter, 1,389 to
merge one, 726 for DoRA.`,
  ],
};

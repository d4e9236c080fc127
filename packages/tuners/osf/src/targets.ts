const block = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'down_proj', 'up_proj'];

/** Where OSF goes when a config names no targets, as in PEFT 0.21.2; in other models, all linear layers. */
export const osfTargets: Readonly<Record<string, readonly string[]>> = {
  llama: block,
  llama4: block,
  mistral: block,
  mixtral: block,
  gemma: block,
  gemma2: block,
  gemma3_text: block,
  qwen2: block,
  qwen3: block,
  phi: block,
  gpt2: ['c_attn', 'c_proj'],
  bloom: ['query_key_value', 'dense_4h_to_h'],
  opt: ['q_proj', 'k_proj', 'v_proj', 'out_proj', 'fc1', 'fc2'],
  gptj: ['q_proj', 'k_proj', 'v_proj', 'out_proj', 'fc_in', 'fc_out'],
  gpt_neox: ['query_key_value', 'dense_4h_to_h'],
  falcon: ['query_key_value', 'dense_4h_to_h'],
  gpt_bigcode: ['c_attn', 'c_proj'],
};

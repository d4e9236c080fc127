"""Chat templates as Hugging Face transformers renders them, for packages/io/data.

Each case: a template with {% generation %} marks, a conversation, and what transformers makes of it with the
tokenizer of packages/assets/tiny-llama: the text, its ids, and the mask of the assistant's tokens.

    python tools/oracle/chat_masks.py
"""

import json
from pathlib import Path

from transformers import PreTrainedTokenizerFast

root = Path(__file__).resolve().parents[2]
out = root / "packages/io/data/test/fixtures/chat-masks.json"

CHATML = """{%- for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\\n' }}
    {%- if message['role'] == 'assistant' %}
        {%- generation %}
            {{- message['content'] + '<|im_end|>' }}
        {%- endgeneration %}
        {{- '\\n' }}
    {%- else %}
        {{- message['content'] + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

LLAMA3 = """{{ bos_token }}{% for message in messages %}{% set header = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' %}{{ header }}{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] | trim }}<|eot_id|>{% endgeneration %}{% else %}{{ message['content'] | trim }}<|eot_id|>{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

MISTRAL = """{{- bos_token }}
{%- for message in messages %}
{%- if message['role'] == 'user' %}
{{- '[INST] ' + message['content'] + ' [/INST]' }}
{%- elif message['role'] == 'assistant' %}
{%- generation -%}
{{- ' ' + message['content'] + eos_token -}}
{%- endgeneration -%}
{%- else %}
{{- raise_exception('Only user and assistant roles are supported') }}
{%- endif %}
{%- endfor %}
"""

TOKENS = ["<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]

CONVERSATIONS = {
    "one turn": [
        {"role": "user", "content": "Who was the first president?"},
        {"role": "assistant", "content": "George Washington."},
    ],
    "several turns": [
        {"role": "user", "content": "Name two."},
        {"role": "assistant", "content": "Washington\nand Adams"},
        {"role": "user", "content": "And the third? "},
        {"role": "assistant", "content": "Thomas Jefferson, naïvely — 🙂"},
        {"role": "user", "content": "Thanks"},
    ],
    "with a system turn": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello\n\nthere"},
        {"role": "assistant", "content": "Hi"},
        {"role": "assistant", "content": "again"},
    ],
}


def main() -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(root / "packages/assets/tiny-llama/files")
    tokenizer.add_special_tokens({"additional_special_tokens": TOKENS})
    cases = []
    for name, template in {"chatml": CHATML, "llama3": LLAMA3, "mistral": MISTRAL}.items():
        for title, messages in CONVERSATIONS.items():
            if name == "mistral" and messages[0]["role"] == "system":
                continue
            encoded = tokenizer.apply_chat_template(
                messages, chat_template=template, return_dict=True, return_assistant_tokens_mask=True
            )
            cases.append(
                {
                    "name": f"{name}, {title}",
                    "template": template,
                    "messages": messages,
                    "text": tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False),
                    "prompt": tokenizer.apply_chat_template(
                        messages, chat_template=template, tokenize=False, add_generation_prompt=True
                    ),
                    "ids": encoded["input_ids"],
                    "mask": encoded["assistant_masks"],
                }
            )
    tokens = {token: tokenizer.convert_tokens_to_ids(token) for token in TOKENS}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"tokens": tokens, "cases": cases}) + "\n")


if __name__ == "__main__":
    main()

"""Byte tokenizers with the chat templates of real families, and small conversations."""

from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from imprint.corpus import byte_tokenizer
from imprint.corpus.chat import Conversation, Message

CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
MARKED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}{{ '\n' }}{% endfor %}"
)
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}<think></think>"
    "{% endif %}{{ m.content | trim }}<|im_end|>\n{% endfor %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHATML
HIDING = "{% for m in messages %}<|im_start|>{{ m.role }}<|im_end|>{% endfor %}"


def chat_tokenizer(template: str | None) -> PreTrainedTokenizerFast:
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens([AddedToken(text, special=True) for text in ("<|im_start|>", "<|im_end|>")])
    tokenizer.chat_template = template
    return tokenizer


def talk(*contents: str, system: str = "", name: str = "c") -> Conversation:
    roles = ("user", "assistant")
    turns = [Message(role=roles[place % 2], content=content) for place, content in enumerate(contents)]
    first = [Message(role="system", content=system)] if system else []
    return Conversation(id=name, messages=(*first, *turns), domain="d")

"""A real `Trainer` of transformers trains a tiny model with a LoRA adapter; what the callback reported is checked."""

from __future__ import annotations

import json
import tempfile
from typing import Any

import torch
from clients import Collected, check
from otel_llm_semconv import attributes as attr
from otel_llm_semconv import events
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from otel_llm.transformers import TrainerCallback

STEPS = 6


class Lines(torch.utils.data.Dataset):
    """Eight short sequences."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Any]:
        tokens = torch.arange(16) % (index + 2)
        return {"input_ids": tokens, "labels": tokens}


def main() -> None:
    """Train and check."""
    with Collected() as collected, tempfile.TemporaryDirectory() as folder:
        model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=16, vocab_size=32, n_positions=32))
        model = get_peft_model(model, LoraConfig(r=2, lora_alpha=4, target_modules=["c_attn"], fan_in_fan_out=True))
        arguments = TrainingArguments(
            output_dir=f"{folder}/tiny",
            max_steps=STEPS,
            per_device_train_batch_size=2,
            logging_steps=2,
            save_steps=3,
            report_to=[],
            use_cpu=True,
            include_num_input_tokens_seen="all",
            disable_tqdm=True,
        )
        trainer = Trainer(model, arguments, train_dataset=Lines(), callbacks=[TrainerCallback()])
        trainer.train()
        steps = collected.spans("training_step")
        check([one.attributes[attr.OTEL_LLM_TRAINING_STEP] for one in steps], list(range(1, STEPS + 1)))
        check({one.attributes[attr.OTEL_LLM_TRAINING_TOKEN_COUNT] for one in steps}, {32})
        (run,) = collected.spans("experiment tiny")
        parameters = json.loads(run.attributes[attr.OTEL_LLM_EXPERIMENT_PARAMETERS])
        check(parameters["max_steps"], STEPS)
        check(parameters["lora.rank"], 2)
        check(run.attributes[attr.OTEL_LLM_LORA_RANK], 2)
        trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
        check(run.attributes[attr.OTEL_LLM_LORA_TRAINABLE_PARAMETER_COUNT], trained)
        told = collected.events(events.OTEL_LLM_EXPERIMENT_METRICS)
        losses = [one for one in told if one[attr.OTEL_LLM_EXPERIMENT_METRIC_NAME] == "loss"]
        check([one[attr.OTEL_LLM_TRAINING_STEP] for one in losses], [2, 4, 6])
        logged = [one["loss"] for one in trainer.state.log_history if "loss" in one]
        check([one[attr.OTEL_LLM_EXPERIMENT_METRIC_VALUE] for one in losses], logged)
        saved = collected.events(events.OTEL_LLM_EXPERIMENT_ARTIFACT)
        check([one[attr.OTEL_LLM_ARTIFACT_NAME] for one in saved], ["checkpoint-3", "checkpoint-6"])
        check(all(one[attr.OTEL_LLM_ARTIFACT_SIZE] > 0 for one in saved), right=True)


if __name__ == "__main__":
    main()

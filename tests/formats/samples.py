"""One small file of each format, as its recorder writes it."""

from __future__ import annotations

import json
from typing import Any

from tests.formats.reading_aids import as_lines, chat_record, plain_document

CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "door"}'}}
TURNS: list[dict[str, Any]] = [
    {"role": "user", "content": "Open the door."},
    {"role": "assistant", "content": "I look.", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "It is shut."},
    {"role": "assistant", "content": "Done."},
]
SHAREGPT = [
    {"from": "human", "value": "Open the door."},
    {"from": "function_call", "value": '{"name": "look", "arguments": {"at": "door"}}'},
    {"from": "observation", "value": "It is shut."},
    {"from": "gpt", "value": "Done."},
]
REACT = """Question: Is it shut?
Thought 1: I look.
Action 1: Look[door]
Observation 1: It is shut.
Action 2: Finish[yes]
"""
ATIF = {
    "schema_version": "ATIF-v1.8",
    "agent": {"name": "a", "version": "1"},
    "steps": [
        {"step_id": 1, "source": "user", "message": "Open the door."},
        {
            "step_id": 2,
            "source": "agent",
            "message": "I look.",
            "tool_calls": [{"tool_call_id": "c1", "function_name": "look", "arguments": {"at": "door"}}],
            "observation": {"results": [{"source_call_id": "c1", "content": "It is shut."}]},
        },
    ],
}
SPAN: dict[str, Any] = {
    "trace_id": "t1",
    "span_id": "s1",
    "start_time": "2026-01-01T00:00:00Z",
    "attributes": {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "gen_ai.input.messages": json.dumps(
            [
                {"role": "user", "parts": [{"type": "text", "content": "Open the door."}]},
                {
                    "role": "assistant",
                    "parts": [{"type": "tool_call", "id": "c1", "name": "look", "arguments": {"at": "door"}}],
                },
                {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "It is shut."}]},
            ]
        ),
        "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "Done."}]}],
    },
    "events": [
        {
            "name": "gen_ai.evaluation.result",
            "attributes": {"gen_ai.evaluation.name": "opened", "gen_ai.evaluation.score.value": 0.5},
        }
    ],
}
FLAT = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "m",
    "llm.input_messages.0.message.role": "user",
    "llm.input_messages.0.message.content": "Open the door.",
    "llm.input_messages.1.message.role": "assistant",
    "llm.input_messages.1.message.tool_calls.0.tool_call.id": "c1",
    "llm.input_messages.1.message.tool_calls.0.tool_call.function.name": "look",
    "llm.input_messages.1.message.tool_calls.0.tool_call.function.arguments": '{"at": "door"}',
    "llm.input_messages.2.message.role": "tool",
    "llm.input_messages.2.message.tool_call_id": "c1",
    "llm.input_messages.2.message.content": "It is shut.",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "Done.",
}
LANGCHAIN = [
    {"lc": 1, "id": ["langchain", "HumanMessage"], "kwargs": {"content": "Open the door."}},
    {
        "lc": 1,
        "id": ["langchain", "AIMessage"],
        "kwargs": {"content": "I look.", "tool_calls": [{"id": "c1", "name": "look", "args": {"at": "door"}}]},
    },
    {"lc": 1, "id": ["langchain", "ToolMessage"], "kwargs": {"content": "It is shut.", "tool_call_id": "c1"}},
]
SAMPLES: dict[str, list[Any]] = {
    "whetstone": [plain_document("look") | {"schema_version": "ATIF-v1.8"}],
    "atif": [ATIF],
    "tau-bench": [{"task_id": 1, "reward": 0.5, "trial": 0, "traj": TURNS, "info": {"task": {"instruction": "Open."}}}],
    "tau2": [
        {
            "info": {"agent_info": {"llm": "m"}, "environment_info": {"domain_name": "doors", "policy": "Be kind."}},
            "tasks": [{"id": "1", "user_scenario": {"instructions": {"reason": "Open."}}}],
            "simulations": [
                {
                    "task_id": "1",
                    "trial": 0,
                    "termination_reason": "user_stop",
                    "reward_info": {"reward": 0.5},
                    "messages": [
                        {"role": "assistant", "content": "Hello."},
                        {"role": "user", "content": "Open.", "tool_calls": [{"id": "u1", "name": "feel"}]},
                        {"role": "tool", "id": "u1", "requestor": "user", "content": "Cold."},
                        {
                            "role": "assistant",
                            "tool_calls": [{"id": "c1", "name": "look", "arguments": {"at": "door"}}],
                        },
                        {"role": "tool", "id": "c1", "requestor": "assistant", "content": "It is shut."},
                    ],
                }
            ],
        }
    ],
    "swe-agent": [
        {
            "history": [
                {"role": "system", "agent": "main", "content": "Act."},
                {"role": "user", "agent": "main", "content": "Open.", "message_type": "observation"},
                {"role": "assistant", "agent": "main", "content": "I look.", "tool_calls": [CALL]},
                {"role": "tool", "agent": "main", "content": "Shut.", "tool_call_ids": ["c1"]},
            ],
            "trajectory": [{"action": "look", "observation": "Shut.", "response": "I look.", "state": {"a": 1}}],
            "info": {"exit_status": "submitted"},
        }
    ],
    "mini-swe-agent": [
        {
            "trajectory_format": "mini-swe-agent-1.1",
            "instance_id": "i1",
            "info": {"exit_status": "Submitted"},
            "messages": [*TURNS, {"role": "exit", "content": "patch"}],
        }
    ],
    "openhands": [
        {
            "instance_id": "i1",
            "instruction": "Open.",
            "error": None,
            "history": [
                {"id": 0, "timestamp": "t", "source": "user", "action": "message", "args": {"content": "Open."}},
                {"id": 1, "source": "agent", "action": "run", "args": {"command": "ls", "thought": "I look."}},
                {"id": 2, "source": "agent", "observation": "run", "cause": 1, "content": "door"},
            ],
        }
    ],
    "fireact": [{"7": {"reward": True, "em": True, "f1": 1.0, "traj": REACT}}],
    "inspect": [
        {
            "version": 2,
            "status": "success",
            "eval": {"model": "m", "task": "doors"},
            "samples": [
                {
                    "id": 1,
                    "epoch": 1,
                    "input": "Open.",
                    "messages": [
                        {"role": "user", "content": "attachment://a"},
                        {
                            "role": "assistant",
                            "content": [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "I look."}],
                            "tool_calls": [{"id": "c1", "function": "look", "arguments": {"at": "door"}}],
                        },
                        {
                            "role": "tool",
                            "tool_call_id": "c1",
                            "function": "look",
                            "content": "",
                            "error": {"type": "timeout", "message": "too slow"},
                        },
                    ],
                    "scores": {"match": {"value": "C"}},
                    "attachments": {"a": "Open the door."},
                }
            ],
        }
    ],
    "otel-genai": [SPAN],
    "openinference": [{"context": {"trace_id": "t1", "span_id": "s1"}, "attributes": FLAT}],
    "langfuse": [
        {
            "id": "t1",
            "observations": [
                {"id": "o1", "type": "GENERATION", "model": "m", "input": TURNS[:3], "output": TURNS[3]},
            ],
            "scores": [{"name": "good", "value": 0.5}],
        }
    ],
    "langsmith": [
        {
            "id": "r1",
            "trace_id": "t1",
            "run_type": "llm",
            "inputs": {"messages": [LANGCHAIN]},
            "outputs": {"generations": [[{"message": {"id": ["AIMessage"], "kwargs": {"content": "Done."}}}]]},
            "feedback_stats": {"good": {"avg": 0.5, "n": 1}},
        }
    ],
    "claude-code": [
        {"type": "user", "uuid": "1", "sessionId": "s", "message": {"role": "user", "content": "Open."}},
        {
            "type": "assistant",
            "uuid": "2",
            "parentUuid": "1",
            "message": {
                "id": "m1",
                "role": "assistant",
                "model": "m",
                "content": [
                    {"type": "thinking", "thinking": "hm"},
                    {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": "door"}},
                ],
            },
        },
        {
            "type": "user",
            "uuid": "3",
            "parentUuid": "2",
            "message": {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "Shut."}]},
        },
    ],
    "codex": [
        {"type": "session_meta", "payload": {"id": "s"}},
        {"type": "response_item", "payload": {"type": "message", "role": "user", "content": [{"text": "Open."}]}},
        {
            "type": "response_item",
            "payload": {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at": "door"}'},
        },
        {"type": "response_item", "payload": {"type": "function_call_output", "call_id": "c1", "output": "Shut."}},
    ],
    "preference": [
        {
            "prompt": [{"role": "user", "content": "Open."}],
            "chosen": [{"role": "assistant", "content": "Yes."}],
            "rejected": [{"role": "assistant", "content": "No."}],
        }
    ],
    "openai-requests": [
        {
            "messages": TURNS[:3],
            "args": [],
            "kwargs": {"tools": [{"type": "function", "function": {"name": "look"}}], "model": "m"},
            "response": {"id": "x", "choices": [{"message": TURNS[3], "finish_reason": "stop"}]},
        }
    ],
    "sharegpt": [{"conversations": SHAREGPT, "tools": "[]", "item_id": "i1"}],
    "chat": [chat_record(reward=0.5, task_id="i1")],
    "prompt-completion": [{"prompt": "Open.", "completion": "Done.", "label": True}],
    "instruction": [{"instruction": "Open.", "input": "the door", "output": "Done."}],
}


def write_sample(name: str) -> bytes:
    """A file of that format."""
    return REACT.encode() if name == "react" else as_lines(*SAMPLES[name])

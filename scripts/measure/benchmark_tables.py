"""The benchmark's tables."""

from __future__ import annotations

from typing import Any

from scripts.measure.tables import markdown

Results = dict[str, Any]


def report(about: dict[str, Any], results: Results) -> str:
    """Everything that was measured, with ratios."""
    machine = about["machine"]
    busy = machine["load_average"][0] > 0.5 * machine["cores"]
    parts = [
        f"{about['volume']}; median of {about['repeat']} (paper {about['paper_repeat']})",
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"{' '.join(machine['features'])}, torch {machine['torch']} ({machine['torch_kernels']})"
        + (f", {machine['cuda']}" if machine["cuda"] else ""),
        f"load average at the start: {machine['load_average'][0]:.2f}"
        + (": BUSY, keep the ratios only" if busy else ""),
        "",
        markdown(_seconds_rows(results)),
    ]
    if "one_step_whole_volume" in results:
        parts.append(markdown(_one_step_rows(results)))
    if "backends" in results:
        parts += [markdown(_backend_rows(results["backends"])), _changes(results["backends"])]
    return "\n".join(parts)


def _seconds_rows(results: Results) -> list[dict[str, Any]]:
    rows = []
    for name, result in results.items():
        if "seconds" not in result:
            continue
        stages = ", ".join(f"{stage} {value:.2f}" for stage, value in result["stages"].items())
        rows.append(
            {
                "job": name,
                "seconds": round(result["seconds"], 2),
                "first run": round(result["seconds_first"], 2),
                "outside networks": f"{result['outside_networks']:.0%}",
                "peak MiB": round(result["peak_mib"]),
                "peak MiB over idle": round(result["peak_mib"] - result["before_mib"]),
                "side": result["answer"].get("side"),
                "models": result["models"] + _marks(result),
                "stages, s": stages,
            }
        )
    return rows


def _marks(result: dict[str, Any]) -> str:
    marks = [
        text
        for key, text in (("random_weights", "random weights"), ("known_gland", "gland given"))
        if result[key]
    ]
    return f" ({', '.join(marks)})" if marks else ""


def _one_step_rows(results: Results) -> list[dict[str, Any]]:
    """One-step over two-step."""
    rows = []
    for one in ("one_step_whole_volume", "one_step_half_head"):
        for two in ("two_step_auto", "two_step_stated"):
            a, b = results[one], results[two]
            rows.append(
                {
                    "ratio": f"{one} / {two}",
                    "seconds": round(a["seconds"] / b["seconds"], 2),
                    "peak memory": round(a["peak_mib"] / b["peak_mib"], 2),
                    "memory over idle": round(
                        (a["peak_mib"] - a["before_mib"])
                        / max(b["peak_mib"] - b["before_mib"], 1.0),
                        2,
                    ),
                }
            )
    return rows


def _backend_rows(backends: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    network = {}
    for name in ("torch", "openvino"):
        stages = backends[name]["stages"]
        network[name] = sum(v for stage, v in stages.items() if stage.endswith("network"))
        rows.append(
            {
                "backend": name,
                "seconds": round(backends[name]["seconds"], 2),
                "in networks": round(network[name], 2),
            }
        )
    rows.append(
        {
            "backend": "torch / openvino",
            "seconds": round(backends["torch"]["seconds"] / backends["openvino"]["seconds"], 2),
            "in networks": round(network["torch"] / max(network["openvino"], 1e-9), 2),
        }
    )
    return rows


def _changes(backends: dict[str, Any]) -> str:
    """What OpenVINO changes."""
    change = backends["largest_change_of_probability"]
    rows = []
    for name, values in backends["dsc"].items():
        both = values["torch"], values["openvino"]
        known = all(value is not None for value in both)
        rows.append(
            {
                "structure": name,
                "DSC between the two": values["between"],
                "torch against truth": both[0],
                "openvino against truth": both[1],
                "change": both[1] - both[0] if known else None,
            }
        )
    worst = max((abs(row["change"]) for row in rows if row["change"] is not None), default=None)
    text = (
        f"largest change of probability: gland {change['gland']:.2e}, organs {change['organs']:.2e}"
    )
    if worst is not None:
        text += f"; of DSC against the truth: {worst:.4f}"
    if backends["random_weights"]:
        text += " (random weights: the DSC mean nothing)"
    return f"{text}\n\n{markdown(rows)}"

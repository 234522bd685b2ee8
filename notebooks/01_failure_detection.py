# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How soon is a death noticed, and what does one number change?
#
# A worker loses power while it streams tokens to a client. Nobody is told: the others only hear silence. This
# notebook runs that scenario in the simulator, looks at who noticed when, then changes the number that decides how
# long a suspect may defend itself, `suspicion_multiplier`, and compares.

# %%
import statistics
import sys
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.display import display

import sim

root = next(folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "scenarios").is_dir())
sys.path.insert(0, str(root))  # the applications of the scenario are in examples/

scenario = sim.Scenario.load(root / "scenarios" / "worker_death.toml")
print(scenario.summary)

# %% [markdown]
# ## One run
#
# A run shows itself: what was expected and what was seen, and a timeline with one lane a node. Look at the lane of
# `worker-2`: power is lost at 10 s, then its band fills, first with suspicion, then with failure. The client's streams
# to it end two seconds after the last token, and go on elsewhere.

# %%
run = scenario.run(seed=7)
display(run)

# %% [markdown]
# What the expectations measured. `detection_p50` is when half of the observers had declared the worker failed, in
# seconds from the crash; `detection_last` is when the last one had.

# %%
display(run.measured)

# %% [markdown]
# The same seed is the same run, to the last event. Another seed is another run of the same story.

# %%
again, other = scenario.run(seed=7), scenario.run(seed=8)
print("seed 7 again is the same run:", again.digest == run.digest)
print("seed 8 is the same run:", other.digest == run.digest)

# %% [markdown]
# ## One number
#
# A member that does not answer is first *suspected*; only when nobody has refuted that in time is it *failed*. The
# time is a multiple of the probe interval. A small multiple finds the dead sooner, and gives the living less time to
# speak up.

# %%
multipliers, seeds = (2, 4, 6), range(1, 5)
half: dict[int, list[float]] = {}
last: dict[int, list[float]] = {}
for multiplier in multipliers:
    overrides = {"cluster.suspicion_multiplier": multiplier}
    runs = [scenario.run(seed=seed, overrides=overrides) for seed in seeds]
    half[multiplier] = [one.measured["detection_p50"] for one in runs]
    last[multiplier] = [one.measured["detection_last"] for one in runs]
    soon, late = statistics.median(half[multiplier]), statistics.median(last[multiplier])
    print(f"multiplier {multiplier}: half knew after {soon:.1f} s, all after {late:.1f} s")

# %%
figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
for name, seconds, mark in (("half of the others", half, "o"), ("all others", last, "^")):
    medians = [statistics.median(seconds[multiplier]) for multiplier in multipliers]
    (line,) = axes.plot(multipliers, medians, label=f"{name}, median of {len(seeds)} seeds")
    for multiplier in multipliers:
        axes.plot([multiplier] * len(seeds), seconds[multiplier], mark, color=line.get_color(), alpha=0.6)
axes.set_xticks(multipliers)
axes.set_xlabel("suspicion_multiplier")
axes.set_ylabel("seconds from crash to failed")
axes.set_ylim(bottom=0)
axes.grid(alpha=0.3)
axes.legend()
plt.show()

# %% [markdown]
# Each mark is one run, the lines are the medians. They rise with the multiplier; what is left of them at zero is the
# time until the dead member is probed at all. What a small number costs does not show here, where nobody is merely
# slow: `scenarios/false_alarm.toml` pauses nodes for up to three seconds. Load that one and try the same.

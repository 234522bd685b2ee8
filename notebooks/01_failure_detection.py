# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
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
# to it end three seconds after the last token, and go on elsewhere.

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
# speak up. So each multiple is tried on two stories, a few seeds each: the death of the worker, and `false_alarm`, in
# which everybody lives, but three nodes stall, one after the other, for up to three seconds.

# %%
stalls = sim.Scenario.load(root / "scenarios" / "false_alarm.toml")
multipliers, seeds = (1, 2, 4, 6), range(1, 5)
detection: dict[int, list[float]] = {}
false_failures: dict[int, list[float]] = {}
for multiplier in multipliers:
    overrides = {"cluster.suspicion_multiplier": multiplier}
    deaths = [scenario.run(seed=seed, overrides=overrides) for seed in seeds]
    alarms = [stalls.run(seed=seed, overrides=overrides) for seed in seeds]
    detection[multiplier] = [one.measured["detection_last"] for one in deaths]
    false_failures[multiplier] = [one.measured["false_failures"] for one in alarms]
    seconds = statistics.median(detection[multiplier])
    print(f"multiplier {multiplier}: all knew after {seconds:.1f} s; living members declared dead: ", end="")
    print(f"in {sum(n > 0 for n in false_failures[multiplier])} of {len(seeds)} runs")

# %%
figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
titles = ("one worker dies", "nobody dies, three stall for up to 3 s")
names = ("seconds until all others knew", "false records of a failure")
for axes, title, name, measured in zip(panels, titles, names, (detection, false_failures), strict=True):
    axes.plot(multipliers, [statistics.median(measured[m]) for m in multipliers], label=f"median of {len(seeds)} seeds")
    every = [(multiplier, value) for multiplier in multipliers for value in measured[multiplier]]
    axes.plot(*zip(*every, strict=True), "o", alpha=0.4, label="one run")
    axes.set_title(title)
    axes.set_xticks(multipliers)
    axes.set_xlabel("suspicion_multiplier")
    axes.set_ylabel(name)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
plt.show()

# %% [markdown]
# On the left the time of detection rises with the multiplier; what is left of it at zero is the time until the dead
# member is probed at all. On the right the smallest number declares the living dead. In between is a setting that a
# stall of three seconds does not upset; the presets `local`, `lan` and `wan` choose one for you.

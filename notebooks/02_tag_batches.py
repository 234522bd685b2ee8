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
# # Tag batches under loss: what does a reader see, and when?
#
# Two members set three tags at once, again and again; three others read. One of the writers loses power for three
# seconds. Datagrams are lost, so news of a batch takes several roads. Two questions: does anybody ever see half a
# batch, and how long does a batch take to arrive?

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.display import display

import sim

root = next(folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "scenarios").is_dir())
sys.path.insert(0, str(root))

scenario = sim.Scenario.load(root / "scenarios" / "tag_batch.toml")
run = scenario.run()
display(run)

# %% [markdown]
# ## What was published, and what was seen
#
# The trace is a data frame for whoever wants one: a row an event, its fields as columns. `tags_published` is what the
# writer says of a new batch, `tags_changed` is what a reader makes of it. A batch is known by its writer, by the run of
# the writer's process and by its version.

# %%
events = run.trace.to_pandas()
batch = ["member", "run", "version"]
published = events[events.name == "tags_published"].drop_duplicates(batch)[[*batch, "time", "tags"]]
seen = events[(events.name == "tags_changed") & (events.node != events.member)]
seen = seen.merge(published, on=batch, suffixes=("", " of the batch"))
display(seen[["time", "node", "member", "version", "tags"]].head(6))

# %% [markdown]
# No reader ever saw a set of tags that its writer had not published as a whole:

# %%
whole = seen["tags"] == seen["tags of the batch"]
print(f"{whole.sum()} of {len(seen)} sets of tags that were seen are the batch that was published")

# %% [markdown]
# A reader need not see every batch. The writer sets them faster than news travels where packets are lost, and a newer
# batch replaces an older one on its way; versions never go back. (`writer-1` has two runs, before and after it lost
# power, each with versions of its own.)

# %%
sees = seen[seen.node.str.startswith("reader")].groupby(["member", "run", "node"])
by_reader = sees["version"].agg(["count", "max", lambda versions: versions.is_monotonic_increasing])
by_reader.columns = ["batches seen", "newest version", "in order"]
display(by_reader)

# %% [markdown]
# ## How long does it take?
#
# The same scenario with more loss, five seeds each. The delay is counted from the moment when the batch was published
# to the moment when a reader has it.

# %%
figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
for loss in ("0%", "10%", "30%"):
    delays = []
    for seed in range(1, 6):
        events = scenario.run(seed=seed, overrides={"network.loss": loss}).trace.to_pandas()
        published = events[events.name == "tags_published"].drop_duplicates(batch)[[*batch, "time"]]
        seen = events[(events.name == "tags_changed") & (events.node != events.member)]
        seen = seen.merge(published, on=batch, suffixes=("", " published"))
        delays += list(seen["time"] - seen["time published"])
    delays.sort()
    axes.step(delays, [(rank + 1) / len(delays) for rank in range(len(delays))], where="post", label=f"{loss} loss")
    print(f"{loss:>3} loss: median {delays[len(delays) // 2] * 1000:.0f} ms, last {delays[-1] * 1000:.0f} ms")
axes.set_xscale("log")
axes.set_xlabel("seconds from publishing to seeing")
axes.set_ylabel("share of the batches that were seen")
axes.set_ylim(0, 1.02)
axes.grid(alpha=0.3)
axes.legend()
plt.show()

# %% [markdown]
# Most batches arrive a tenth of a second after they were set: what is set within one gossip interval, which is that
# long with the preset `local`, leaves as one update. What is lost then comes with the next packets, or with a table.
#
# ## Would we notice?
#
# A defect breaks one thing on purpose. `torn_tags` sets the tags of a batch one by one, as a program does that has no
# batches. The expectation `tags_atomic` finds it:

# %%
torn = scenario.run(defects=["torn_tags"])
for judgement in torn.expectations:
    print(f"{judgement.verdict:>5}  {judgement.name}: {judgement.saw}")

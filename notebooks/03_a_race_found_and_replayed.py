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
# # Your own program: find a race, look at it, replay it
#
# A shop has one thing left. Two customers come at the same moment. The program looks at the shelf, asks the bank, and
# then takes the thing: between the look and the taking it waits, so the other customer may come in between. Nothing
# here knows that it is simulated: it is an ordinary asyncio program.

# %%
import asyncio

import sim


class Shop:
    def __init__(self):
        self.shelf, self.sold = 1, []

    async def buy(self, customer):
        await asyncio.sleep(0)  # says good morning
        if self.shelf == 0:
            return
        await asyncio.sleep(0)  # asks the bank
        self.shelf -= 1
        self.sold.append(customer)


async def day(shop):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(shop.buy("Ada"))
        tasks.create_task(shop.buy("Bob"))
    return shop.sold


# %% [markdown]
# ## Another order
#
# asyncio runs the tasks of a program first come, first served, and here both buy, always. Most programs hide it better:
# this one says good morning to the second customer a little later, and in that order it is right, every time.


# %%
async def polite_day(shop):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(shop.buy("Ada"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks.create_task(shop.buy("Bob"))
    return shop.sold


print("both at once:", sim.run(day(Shop()), seed=1))
print("politely, 100 seeds:", {tuple(sim.run(polite_day(Shop()), seed=seed)) for seed in range(1, 101)})

# %% [markdown]
# On a busy machine the order is another one. `interleaving` lets the seed choose which ready task goes next; `mix`
# draws a strategy for each seed. A `Simulation` by hand has one machine here, and a trace of what happened on it.


# %%
def simulated_day(shop, seed):
    with sim.Simulation(seed, interleaving="mix") as simulation:
        machine = simulation.add_node("shop")
        sold = simulation.run_until_complete(machine.start(polite_day, shop))
        return sold, list(simulation.trace)


for seed in range(1, 1001):
    shop = Shop()
    sold, _ = simulated_day(shop, seed)
    if len(sold) > 1:
        break
print(f"seed {seed}: sold to {' and '.join(sold)}, and {shop.shelf} left on the shelf")

# %% [markdown]
# ## The same again, with its trace
#
# The seed is the whole story: the same seed is the same run. In the trace each choice against the usual order is an
# event: which task went first, where it went on, and which one had been ready for longer.

# %%
again, trace = simulated_day(Shop(), seed)
print("sold again to", " and ".join(again))
for event in trace:
    if event.name == "chosen":
        print(f"{event.fields['step']} of {event.fields['task']} went before {event.fields['passed']}")

# %% [markdown]
# ## Mended
#
# A lock around the look and the taking; no order of a thousand finds anything.


# %%
class LockedShop(Shop):
    def __init__(self):
        super().__init__()
        self.till = asyncio.Lock()

    async def buy(self, customer):
        async with self.till:
            await super().buy(customer)


wrong = [seed for seed in range(1, 1001) if len(simulated_day(LockedShop(), seed)[0]) > 1]
print(f"{len(wrong)} of 1000 seeds sell it twice")

# %% [markdown]
# In a test the same is a line, `@pytest.mark.simulated(seeds=200, interleaving="mix")`, and in a scenario file
# `interleaving = "mix"`. [Finding races](../docs/howto/races.md) says what each strategy is for.

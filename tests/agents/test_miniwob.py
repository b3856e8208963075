"""MiniWoB++ in our browser: the pages, the policy that solves them, the rewards, and the success tables."""

import pytest

from cookbook_utils.agents.baselines import Oracle, RandomModel
from cookbook_utils.agents.benchmark import HELD_OUT, Episode, episodes, main, table
from cookbook_utils.agents.loop import run
from cookbook_utils.agents.miniwob import DROPPED, TASKS, TRAINED, UNTRAINED, MiniWob
from cookbook_utils.agents.record import Record, Step


@pytest.fixture(scope="module")
def page(chromium):
    with MiniWob(chromium=chromium) as one:
        yield one


@pytest.mark.parametrize("task", TASKS)
def test_the_policy_solves_the_task(page, task):
    page.reset(HELD_OUT, task)
    assert page.goal and not page.done
    record = run(Oracle(page.next_call), page, page.goal, max_steps=15, confirm=lambda risk: True)
    assert page.success and record.stopped == "done", (page.goal, record.captions())
    assert not [step.error for step in record.steps if step.error]


@pytest.mark.parametrize("task", ["click-button", "enter-text", "drag-box", "click-shape"])
def test_a_seed_is_the_same_task_again_and_another_is_another(page, task):
    seen = {}
    for seed in (1, 2, 1):
        page.reset(seed, task)
        seen.setdefault(seed, []).append((page.goal, page.screenshot().tobytes()))
    assert seen[1][0] == seen[1][1] != seen[2][0]


def test_an_episode_does_not_depend_on_the_one_before(page):
    page.reset(5, "enter-text")
    fresh = page.screenshot().tobytes()
    page.act({"action": "left_click", "coordinate": [200, 100]})
    page.act({"action": "type", "text": "left over"})
    page.reset(5)
    assert page.screenshot().tobytes() == fresh


@pytest.mark.parametrize(
    ("instruction", "scale", "size"), [(False, 2, (320, 320)), (True, 2, (320, 420)), (False, 1, (160, 160))]
)
def test_the_screen_is_the_tasks_area(chromium, instruction, scale, size):
    with MiniWob("click-test", 3, scale=scale, instruction=instruction, chromium=chromium) as one:
        assert one.screenshot().size == one.size == size
        run(Oracle(one.next_call), one, one.goal)
        assert one.success


def test_a_wrong_click_ends_the_task_without_success(page):
    page.reset(1, "click-test-2")
    spot = page.evaluate(
        "(() => { const b = subbtn2.getBoundingClientRect(); return [(b.left + b.right) / 3.2 * 10, ((b.top + b.bottom) / 2 - 50) / 1.6 * 10]; })()"
    )
    page.act({"action": "left_click", "coordinate": spot})
    assert page.done and page.reward == -1 and not page.success


def test_part_of_the_reward_is_no_success(page):
    page.reset(2, "odd-or-even")
    page.act({"action": "left_click", "coordinate": [500, 850]})
    assert page.done and page.reward < 1 and not page.success


def test_time_is_not_part_of_the_task(page):
    page.reset(3, "click-test")
    assert page.evaluate("core.EPISODE_MAX_TIME") > 3_600_000 and page.evaluate("WOB_DONE_GLOBAL") is False


def test_a_task_comes_back_after_a_crash(page):
    page.reset(4, "click-button")
    goal, screen = page.goal, page.screenshot().tobytes()
    page._chromium.call(lambda: page._context.new_cdp_session(page._page).send("Page.navigate", {"url": "chrome://crash"}))
    assert page.screenshot().tobytes() == screen
    run(Oracle(page.next_call), page, goal)
    assert page.success


def test_a_blind_agent_solves_next_to_nothing(page):
    solved = 0
    for task in ("click-shape", "enter-text", "click-option", "grid-coordinate"):
        page.reset(9, task)
        run(RandomModel(task), page, page.goal, max_steps=8, confirm=lambda risk: True)
        solved += page.success
    assert solved <= 1


def test_names_that_there_are_not_are_errors(page):
    with pytest.raises(ValueError, match="no task 'click-nothing'"):
        page.reset(0, "click-nothing")
    page.reset(0, "terminal")
    with pytest.raises(ValueError, match="no policy for 'terminal'"):
        page.next_call()


# --- the tables -----------------------------------------------------------------------------------------------------


def test_episodes_are_judged_by_the_page(chromium):
    done = list(episodes("oracle", "miniwob", tasks=["click-test", "focus-text"], seeds=[1, 2], chromium=chromium))
    assert [(one.task, one.seed, one.success) for one in done] == [
        ("click-test", 1, True), ("click-test", 2, True), ("focus-text", 1, True), ("focus-text", 2, True)]  # fmt: skip


@pytest.mark.parametrize(("env", "tasks", "words"), [
    ("desktop", (), "env: expected one of miniwob, phone, got 'desktop'"), ("miniwob", ("fly",), "tasks: no fly in miniwob; there is click-test"),
])  # fmt: skip
def test_what_cannot_be_benchmarked_is_named(chromium, env, tasks, words):
    with pytest.raises(ValueError, match=words):
        next(episodes("oracle", env, tasks=tasks, **({"chromium": chromium} if tasks else {})))


def test_a_model_runs_through_the_same_loop(chromium, queue):
    model = queue(("computer_use", {"action": "terminate", "status": "success"}))
    [one] = episodes(model, "miniwob", tasks=["click-test"], seeds=[1], chromium=chromium)
    assert not one.success and one.record.stopped == "terminate" and len(model.asked) == 1


def test_the_table_counts_by_task():
    done = [Episode("a", seed, seed < 3, Record("")) for seed in range(4)] + [Episode("b", 0, False, Record(""))]
    assert table({"tiny": done}).splitlines() == [
        "| task | tiny | tiny: steps |", "|---|---|---|", "| a | 75 % | 0.0 |", "| b | 0 % | 0.0 |", "| mean | 38 % | 0.0 |"]  # fmt: skip


def test_models_stand_side_by_side_and_tasks_that_they_do_not_train_on_below():
    short, long = Record("", steps=[Step()]), Record("", steps=[Step()] * 3)
    tiny = [Episode("new", 0, False, long), Episode("hard", 0, False, short), Episode("old", 0, True, short)]
    done = {"tiny": tiny, "oracle": [Episode("old", 0, True, short)]}
    assert table(done, untrained=["new"], dropped=["hard", "elsewhere"]).splitlines() == [
        "| task | tiny | oracle | tiny: steps | oracle: steps |", "|---|---|---|---|---|",
        "| old | 100 % | 100 % | 1.0 | 1.0 |", "| mean | 100 % | 100 % | 1.0 | 1.0 |",
        "| hard | 0 % | nan % | 1.0 | nan |", "| mean, no longer trained on | 0 % | nan % | 1.0 | nan |",
        "| new | 0 % | nan % | 3.0 | nan |", "| mean, not trained on | 0 % | nan % | 3.0 | nan |"]  # fmt: skip


def test_one_command_makes_the_table_and_keeps_the_records(chromium, tmp_path, capsys):
    command = ["--model", "oracle", "random", "--env", "phone", "--seeds", "1", "--tasks", "theme,forecast", "--out", str(tmp_path)]
    assert main(command) == 0
    assert "| mean | 100 % | 0 % |" in capsys.readouterr().out
    folders = sorted(path.name for path in (tmp_path / "oracle").iterdir())
    assert folders == [f"forecast_{HELD_OUT}_success", f"theme_{HELD_OUT}_success"]
    assert Record.load(tmp_path / "oracle" / folders[1]).status == "success" and len([*(tmp_path / "random").iterdir()]) == 2


def test_the_tables_have_at_least_twenty_tasks_that_were_trained_on_and_five_that_were_not():
    assert len(TRAINED) >= 20 and len(UNTRAINED) == 5 and sorted(TRAINED + UNTRAINED + DROPPED) == sorted(TASKS)

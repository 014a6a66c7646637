"""The page in a real browser against the running product."""

import json
import os
import signal
import time

from fixtures.page import Tab, tab
from fixtures.product import Product, until
from playwright.sync_api import Browser, Locator, expect


def tile(page: Tab, machine: str) -> Locator:
    return page.page.locator(f'enms-tile[data-machine="{machine}"]')


def test_a_new_device_gets_a_tile_at_once_and_its_values_move(product: Product, browser: Browser) -> None:
    product.user("press-7", "device")
    with tab(browser, product) as page:
        expect(page.page.get_by_text("No machine has reported yet")).to_be_visible()
        product.publish("press-7", "enms/telemetry/press-7", '{"power_kw": 12.5}')
        product.publish("press-7", "enms/telemetry/press-7/oil_temperature_c", "48.2")
        published = time.monotonic()
        expect(tile(page, "press-7")).to_contain_text("12.5")
        expect(tile(page, "press-7")).to_contain_text("48.2")
        print(f"both values on the tile {time.monotonic() - published:.2f} s after the second was published")
        product.publish("press-7", "enms/telemetry/press-7", '{"power_kw": 17.25}')
        expect(tile(page, "press-7")).to_contain_text("17.3")
        page.go("/machine/press-7")
        expect(page.page.locator("enms-chart canvas").first).to_be_visible()
        page.page.reload()
        page.wait_link("live")
        assert page.complaints == []


def test_a_killed_gateway_makes_the_page_stale_and_a_killed_broker_reconnecting(
    product: Product, browser: Browser
) -> None:
    product.user("press-7", "device")
    product.publish("press-7", "enms/telemetry/press-7", '{"power_kw": 12.5}')
    with tab(browser, product) as page:
        expect(tile(page, "press-7")).to_have_attribute("data-live", "true")
        os.kill(product.child("gateway"), signal.SIGKILL)
        page.wait_link("stale", 7)
        expect(tile(page, "press-7")).not_to_have_attribute("data-live", "true")
        page.wait_link("live", 30)
        os.kill(product.child("broker"), signal.SIGKILL)
        page.wait_link("reconnecting", 7)
        page.wait_link("live", 40)
        product.publish("press-7", "enms/telemetry/press-7", '{"power_kw": 20}')
        expect(tile(page, "press-7")).to_contain_text("20", timeout=20_000)


def test_script_in_a_name_is_text(product: Product, browser: Browser) -> None:
    product.user("press-7", "device")
    attack = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    said = {"name": attack, "type": attack, "place": {"site": attack}, "metrics": {"a": {"unit": attack}}}
    product.publish("press-7", "enms/telemetry/press-7", json.dumps({"a": 1, "operating_mode": attack}))
    product.publish("press-7", "enms/announce/press-7", json.dumps(said))
    with tab(browser, product) as page:
        page.page.on("dialog", lambda dialog: page.complaints.append(f"dialog {dialog.message}"))
        expect(tile(page, "press-7")).to_contain_text(attack)
        page.go("/machine/press-7")
        expect(page.page.locator("enms-machine")).to_contain_text(attack)
        assert page.complaints == []


def test_a_log_out_ends_the_live_connection_and_a_wrong_password_is_told(
    product: Product, browser: Browser
) -> None:
    with tab(browser, product) as page:
        page.page.get_by_role("button", name="Log out").click()
        password = page.page.get_by_label("Password", exact=True)
        expect(password).to_be_visible()
        page.page.get_by_label("User name").fill("admin")
        password.fill("wrong")
        page.page.get_by_role("button", name="Log in").click()
        expect(page.page.get_by_role("alert")).to_contain_text("user name or password is wrong")
    until(lambda: not broker_tabs(product))


def test_the_api_describes_itself_with_nothing_from_elsewhere(product: Product, browser: Browser) -> None:
    with tab(browser, product) as page:
        asked: list[str] = []
        page.page.on("request", lambda request: asked.append(request.url))
        page.page.goto(f"{product.url}/docs")
        expect(page.page.get_by_text("/api/v1/machines/{machine}/history")).to_be_visible()
        page.page.get_by_text("/api/v1/machines/{machine}/history").click()
        expect(page.page.get_by_text("Give readings over time").first).to_be_visible()
        assert [url for url in asked if not url.startswith((product.url, "data:"))] == []
        page.picture("api")
        assert page.complaints == []


def broker_tabs(product: Product) -> list[str]:
    """The broker's users that belong to a tab."""
    rules = json.loads((product.data / "broker" / "dynamic-security.json").read_text())
    return [one["username"] for one in rules["clients"] if "~" in one["username"]]

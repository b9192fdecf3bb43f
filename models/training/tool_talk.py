"""Conversations with tools: definitions, questions that need a call, calls, results and answers.

Two tools are ever called, `get_weather` and `calculator`; others are only there to be passed over. A city or an expression
whose key is held out occurs in no training conversation with tools.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from typing import Any

import facts
from corpus import TASKS, Question, _noisy, _plain_system, ask, is_held_out, made_up_name
from thinking import thought

UNKNOWN = "I do not know. I am a small model, but I can answer questions about capitals and numbers, and I can tell short stories."
_OTHER_CITIES = """
New York;Los Angeles;Chicago;Boston;San Francisco;Seattle;Miami;Toronto;Vancouver;Montreal;Sydney;Melbourne;Auckland;Mumbai;Delhi;Karachi;Lahore;Shanghai;
Hong Kong;Osaka;Kyoto;Busan;Dubai;Istanbul;Izmir;Milan;Naples;Venice;Florence;Turin;Barcelona;Seville;Valencia;Porto;Lyon;Marseille;Nice;Bordeaux;Toulouse;
Munich;Hamburg;Cologne;Frankfurt;Stuttgart;Leipzig;Dresden;Zurich;Geneva;Basel;Salzburg;Graz;Antwerp;Bruges;Rotterdam;Utrecht;Manchester;Liverpool;Edinburgh;
Glasgow;Oxford;Cambridge;Bristol;Leeds;Cork;Bergen;Gothenburg;Malmo;Aarhus;Tampere;Gdansk;Krakow;Brno;Saint Petersburg;Kazan;Odessa;Lviv;Rio de Janeiro;
Sao Paulo;Salvador;Rosario;Cordoba;Medellin;Cali;Guayaquil;Cusco;Cancun;Monterrey;Lagos;Casablanca;Marrakesh;Alexandria;Cape Town;Durban;Johannesburg;Mombasa;
Austin;Dallas;Houston;Denver;Phoenix;Portland;Philadelphia;Detroit;Atlanta;Orlando;Las Vegas;San Diego;Honolulu;Calgary;Perth;Brisbane;Adelaide;Singapore
"""
CITIES = [*facts.CAPITALS.values(), *(city.strip() for city in _OTHER_CITIES.split(";"))]
_TAUGHT_CITIES = [city for city in CITIES if not is_held_out(f"weather|{city}")]
_CONDITIONS = ["sunny", "sunny", "cloudy", "cloudy", "rainy", "rainy", "windy", "snowy", "foggy", "stormy", "clear", "cold", "hot", "partly cloudy"]


@dataclass(frozen=True)
class Call:
    """A call with one possible result and the sentence that tells it."""

    name: str
    arguments: dict[str, Any]
    result: str
    sentence: str


@dataclass(frozen=True)
class Need:
    """A user's wish that calls fulfil. `key` as in Question; `tools` are the names that must be there."""

    text: str
    calls: tuple[Call, ...]
    key: str
    thought: str


# --- definitions ------------------------------------------------------------------------------------------------


def weather_tool(rng: Random) -> dict[str, Any]:
    city: dict[str, Any] = {"type": "string"}
    if rng.random() < 0.4:
        city["description"] = rng.choice(["The city", "City name", "The name of the city", "The city name, e.g. Paris", "The city to look up"])
    properties = {"city": city}
    if rng.random() < 0.6:
        properties["unit"] = {"type": "string", "enum": rng.choice([["celsius", "fahrenheit"]] * 4 + [["fahrenheit", "celsius"]])}
    words = ["Get the weather in a city.", "Get the current weather in a city.", "Get the weather.", "Get the current weather", "Get the current weather for a city", "Get weather for a city", "The weather of a city.", "Returns the weather in a given city.", "Look up the weather.", "Current weather"]
    return _tool(rng, "get_weather", rng.choice(words), properties, ["city"])


def calculator_tool(rng: Random) -> dict[str, Any]:
    expression: dict[str, Any] = {"type": "string"}
    if rng.random() < 0.4:
        expression["description"] = rng.choice(["The expression", "Arithmetic expression", "The expression to calculate", "e.g. 2 * 3", "A math expression"])
    words = ["Calculate an expression.", "A calculator.", "Evaluate an expression.", "Calculator", "Evaluate a math expression", "Calculate the value of an expression", "Does arithmetic.", "Compute an arithmetic expression."]
    return _tool(rng, "calculator", rng.choice(words), {"expression": expression}, ["expression"])


def other_tool(rng: Random) -> dict[str, Any]:
    name, words, names = rng.choice([
        ("get_time", "Get the time in a city.", ["timezone"]), ("send_email", "Send an email.", ["to", "text"]), ("search", "Search the web.", ["query"]), ("set_alarm", "Set an alarm.", ["time"]),
        ("play_music", "Play a song.", ["song"]), ("translate", "Translate a text.", ["text", "language"]), ("read_file", "Read a file.", ["path"]), ("get_stock_price", "Get the price of a stock.", ["symbol"]),
        ("open_door", "Open a door.", ["door"]), ("lookup", "Look something up.", ["id"]), ("noop", "Does nothing.", []), ("write_note", "Write a note.", ["note"]), ("run_code", "Run code.", ["code"]),
    ])
    return _tool(rng, name, words, {n: {"type": rng.choice(["string", "string", "integer"])} for n in names}, names)


def _tool(rng: Random, name: str, description: str, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """Definitions as clients write them: description or none, fields in one of two orders, `strict` as the SDKs set it."""
    parameters: dict[str, Any] = {"type": "object", "properties": properties}
    if rng.random() < 0.85:
        parameters["required"] = required
    if rng.random() < 0.15:
        parameters["additionalProperties"] = False
    function: dict[str, Any] = {"name": name}
    if rng.random() < 0.88:
        function["description"] = description
    function["parameters"] = parameters
    if rng.random() < 0.12:
        function["strict"] = rng.random() < 0.7
    if rng.random() < 0.08:
        function = dict(sorted(function.items()))
    return {"type": "function", "function": function}


def tool_set(rng: Random) -> list[dict[str, Any]]:
    has_weather, has_calculator = rng.choices([(True, True), (True, False), (False, True), (False, False)], [46, 26, 22, 6])[0]
    tools = [weather_tool(rng)] * has_weather + [calculator_tool(rng)] * has_calculator
    if not tools or rng.random() < 0.22:
        tools.append(other_tool(rng))
    rng.shuffle(tools)
    return tools


def names_of(tools: list[dict[str, Any]]) -> set[str]:
    return {tool["function"]["name"] for tool in tools}


def _has_unit(tools: list[dict[str, Any]]) -> bool:
    return any("unit" in tool["function"]["parameters"]["properties"] for tool in tools if tool["function"]["name"] == "get_weather")


# --- weather ----------------------------------------------------------------------------------------------------


def _strange_city(rng: Random) -> str:
    """Names nobody has, so that naming a city is copying: made-up ones, or the head of a real name with the tail of another."""
    if rng.random() < 0.3:
        return made_up_name(rng)
    head, tail = (rng.choice(_TAUGHT_CITIES) for _ in range(2))
    return head[: rng.randrange(2, max(3, len(head)))].rstrip(" -'") + tail[-rng.randrange(2, max(3, len(tail))) :].lower().lstrip(" -'")


def _city(rng: Random, held_out: bool) -> str:
    for _ in range(100_000):
        city = _strange_city(rng) if rng.random() < 0.5 and not held_out else rng.choice(CITIES)
        if is_held_out(f"weather|{city}") == held_out:
            return city
    raise ValueError("no such city")


def weather_call(rng: Random, city: str, unit: str | None = None) -> Call:
    arguments = {"city": city} | ({"unit": unit} if unit else {})
    result, sentence = _weather_result(rng, city, unit)
    return Call("get_weather", arguments, result, sentence)


def _weather_result(rng: Random, city: str, unit: str | None) -> tuple[str, str]:
    degrees, condition = rng.randrange(-15, 100) if rng.random() < 0.25 else rng.randrange(5, 36), rng.choice(_CONDITIONS)
    if rng.random() < 0.05:
        degrees = round(degrees + rng.random(), 1)  # type: ignore[assignment]
    full = f"It is {degrees} degrees and {condition} in {city}."
    draw = rng.random()
    if draw < 0.08:
        return rng.choice([f"{degrees} degrees and {condition}", f"{condition}, {degrees} degrees", f"{degrees} degrees, {condition}", f"It is {degrees} degrees and {condition}."]), full
    if draw < 0.1:
        error = rng.choice(["city not found", "not found", "timeout", "no data"])
        return rng.choice([_written(rng, {"error": error}), f"Error: {error}", error]), f"I could not get the weather in {city}."
    fields: dict[str, Any] = {"temperature": degrees, "condition": condition}
    sentence = full
    if draw < 0.15:
        kept = rng.choice(["temperature", "condition"])
        fields = {kept: fields[kept]}
        sentence = f"It is {degrees} degrees in {city}." if kept == "temperature" else f"It is {condition} in {city}."
    if rng.random() < 0.4:
        fields["unit"] = unit or "celsius"
    if rng.random() < 0.55:
        fields = {"city": city} | fields
    if rng.random() < 0.35:
        order = list(fields)
        rng.shuffle(order)
        fields = {name: fields[name] for name in order}
    return _written(rng, fields), sentence


def _written(rng: Random, value: object) -> str:
    """As json.dumps or as JSON.stringify writes."""
    return json.dumps(value) if rng.random() < 0.6 else json.dumps(value, separators=(",", ":"))


def weather(rng: Random, has_unit: bool, held_out: bool = False, asks_unit: bool | None = None) -> Need:
    city = _city(rng, held_out)
    asks_unit = has_unit and rng.random() < 0.3 if asks_unit is None else asks_unit
    unit = rng.choice(["celsius", "fahrenheit"]) if asks_unit else None
    phrasings = [
        "What is the weather in {c}?", "What is the weather in {c}?", "What's the weather in {c}?", "What is the weather like in {c}?", "What's the weather like in {c}?", "How is the weather in {c}?",
        "Tell me the weather in {c}.", "What is the temperature in {c}?", "What is the weather in {c} today?", "How warm is it in {c}?", "How cold is it in {c}?", "Is it raining in {c}?",
        "Is it sunny in {c}?", "Weather in {c}?", "Do I need an umbrella in {c}?", "Give me the weather in {c}.", "Can you tell me the weather in {c}?", "What's the weather like in {c} today?",
        "What is the current weather in {c}?", "Please get the weather in {c}.", "How is the weather in {c} right now?", "Use the tool to get the weather in {c}.", "What is the weather for {c}?", "Check the weather in {c}.", "Call get_weather for {c}.",
    ]
    text = rng.choice(phrasings).format(c=city)
    if unit:
        asked = rng.choice(["in {u}", "in degrees {u}", "in {U}", "in degrees {U}"]).format(u=unit, U=unit.capitalize())
        text = rng.choice([f"{text[:-1]} {asked}{text[-1]}", f"{text[:-1]} {asked}{text[-1]}", f"{text} Use {unit}.", f"{text} Answer {asked}."])
    return Need(text, (weather_call(rng, city, unit),), f"weather|{city}", f"The user asks for the weather in {city}.")


def weathers(rng: Random, held_out: bool = False) -> Need:
    """Two cities, sometimes three: parallel calls."""
    cities: list[str] = []
    while len(cities) < (3 if rng.random() < 0.06 else 2):
        city = _city(rng, held_out)
        cities += [city] * (city not in cities)
    joined = " and ".join([", ".join(cities[:-1]), cities[-1]])
    joined_in = " and ".join([", ".join("in " + city for city in cities[:-1]), "in " + cities[-1]])
    where = rng.choice(["in " + joined, joined_in])
    text = rng.choice(["What is the weather {w}?", "What's the weather {w}?", "What is the weather like {w}?", "Tell me the weather {w}.", "How is the weather {w}?", "What is the temperature {w}?", "Compare the weather {w}.", "Get the weather {w}."]).format(w=where)
    return Need(text, tuple(weather_call(rng, city) for city in cities), f"weather|{cities[0]}", f"The user asks for the weather in {joined}.")


# --- arithmetic -------------------------------------------------------------------------------------------------


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(round(value, 4))


def calculation(rng: Random, held_out: bool = False) -> Need:
    for _ in range(100_000):
        expression, text = _expression(rng)
        if is_held_out(f"calculator|{expression}") == held_out:
            break
    call = _calculator_call(rng, expression)
    return Need(text, (call,), f"calculator|{expression}", f"The user asks for {expression}.")


def _calculator_call(rng: Random, expression: str) -> Call:
    value = _number(eval(expression))  # noqa: S307  an expression made here, of digits and + - * / ( )
    if rng.random() < 0.2:
        value = str(rng.randrange(-9999, 99999))  # what the tool says is what counts
    if rng.random() < 0.03:
        return Call("calculator", {"expression": expression}, _written(rng, {"error": rng.choice(["timeout", "syntax error", "no data"])}), f"I could not calculate {expression}.")
    shape = rng.choices(["bare", "result", "value", "both", "text"], [42, 30, 8, 10, 10])[0]
    plain = {"bare": value, "text": f"{expression} = {value}"}
    number = f"@{value}@"
    fields = {"result": {"result": number}, "value": {"value": number}, "both": {"expression": expression, "result": number}}
    result = plain.get(shape) or _written(rng, fields[shape]).replace('"@', "").replace('@"', "")
    return Call("calculator", {"expression": expression}, result, f"{expression} = {value}.")


def _expression(rng: Random) -> tuple[str, str]:
    """What is beyond the model: an operand of 100 or more in sums, above 10 in products, any division, several operators."""
    kind = rng.choices(["*", "+", "-", "/", "long"], [40, 20, 18, 10, 12])[0]
    if kind == "long":
        a, b, c = (rng.randrange(2, rng.choice([20, 100, 1000])) for _ in range(3))
        shape = rng.choice(["{a} {p} {b} {q} {c}", "({a} {p} {b}) * {c}", "{a} * ({b} {q} {c})", "{a} * {b} * {c}"])
        expression = shape.format(a=a, b=b, c=c, p=rng.choice("+-"), q=rng.choice("+*-"))
        return expression, rng.choice(["What is {e}?", "Calculate {e}.", "{e} = ?", "Compute {e}.", "What's {e}?"]).format(e=expression)
    high = rng.choice([100, 1000, 1000, 10000])
    if kind == "*":
        a, b = rng.randrange(11, min(high, 1000)), rng.randrange(2 if rng.random() < 0.15 else 11, min(high, 1000))
        words = ["What is {a} times {b}?", "What is {a} x {b}?", "Multiply {a} by {b}.", "Calculate {a} times {b}."]
    elif kind == "/":
        b = rng.randrange(2, 100)
        a = b * rng.randrange(2, 200) if rng.random() < 0.8 else rng.randrange(10, 1000)
        words = ["What is {a} divided by {b}?", "Divide {a} by {b}."]
    else:
        a, b = rng.randrange(100, max(1000, high)), rng.randrange(2, max(1000, high))
        a, b = (b, a) if rng.random() < 0.3 and kind == "+" else (a, b)
        words = ["What is {a} plus {b}?", "Add {a} and {b}.", "What is the sum of {a} and {b}?"] if kind == "+" else ["What is {a} minus {b}?", "Subtract {b} from {a}."]
    expression = f"{a} {kind} {b}"
    words += ["What is {e}?", "What is {e}?", "Calculate {e}.", "{e} = ?", "What's {e}?", "Compute {e}.", "How much is {e}?", "Use the calculator: {e}", "Please calculate {e}.", "Use the calculator to compute {e}."]
    return expression, rng.choice(words).format(a=a, b=b, e=expression)


def weather_and_calculation(rng: Random, held_out: bool = False) -> Need:
    first, second = weather(rng, False, held_out), calculation(rng, held_out)
    expression = second.calls[0].arguments["expression"]
    city = first.calls[0].arguments["city"]
    parts = [f"what is the weather in {city}", f"what is {expression}"]
    calls = [first.calls[0], second.calls[0]]
    if rng.random() < 0.4:
        parts.reverse(), calls.reverse()
    text = rng.choice([f"{parts[0]} and {parts[1]}?", f"{parts[0]}, and {parts[1]}?", f"{parts[0]}? And {parts[1]}?"])
    return Need(text[:1].upper() + text[1:], tuple(calls), first.key, "The user asks for two things.")


# --- conversations ----------------------------------------------------------------------------------------------

_PLAIN_TASKS = {name: share for name, (_, share) in TASKS.items() if name not in ("story", "count", "list")}


def plain_question(rng: Random, held_out: bool = False) -> Question:
    task = rng.choices(list(_PLAIN_TASKS), list(_PLAIN_TASKS.values()))[0]
    return ask(rng, task, held_out and task not in ("fox", "manners", "unknown"))


def need(rng: Random, tools: list[dict[str, Any]], held_out: bool = False, parallel: bool | None = None) -> Need | None:
    """Something these tools can do; None when no known tool is among them."""
    names = names_of(tools)
    both = {"get_weather", "calculator"} <= names
    parallel = rng.random() < 0.35 if parallel is None else parallel
    if parallel and "get_weather" in names:
        return weather_and_calculation(rng, held_out) if both and rng.random() < 0.3 else weathers(rng, held_out)
    if "get_weather" in names and (not both or rng.random() < 0.5):
        return weather(rng, _has_unit(tools), held_out)
    return calculation(rng, held_out) if "calculator" in names else None


def beyond(rng: Random, tools: list[dict[str, Any]]) -> str | None:
    """A question whose tool is not there."""
    missing = {"get_weather", "calculator"} - names_of(tools)
    if not missing:
        return None
    return weather(rng, False).text if rng.choice(sorted(missing)) == "get_weather" else calculation(rng).text


def call_message(rng: Random, calls: tuple[Call, ...], given: bool = False) -> dict[str, Any]:
    """`given`: a history as some clients send it, arguments without spaces; not what the model should write."""
    def arguments(call: Call) -> dict[str, Any] | str:
        return json.dumps(call.arguments, separators=(",", ":")) if given else call.arguments

    made = [{"type": "function", "function": {"name": call.name, "arguments": arguments(call)}} for call in calls]
    return {"role": "assistant", "content": "", "tool_calls": made} | ({"given": True} if given else {})


def tool_chat(rng: Random, num_turns: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Messages and tools. Sometimes the last answer thinks first."""
    tools = tool_set(rng)
    messages: list[dict[str, Any]] = [{"role": "system", "content": _plain_system(rng)}] if rng.random() < 0.3 else []
    for turn in range(num_turns):
        thinks = turn == num_turns - 1 and rng.random() < 0.12
        wanted = need(rng, tools) if rng.random() < 0.7 else None
        if wanted:
            messages.append({"role": "user", "content": _noisy(rng, wanted.text)})
            _add_calls(rng, messages, wanted, thinks)
            continue
        out_of_reach = beyond(rng, tools) if rng.random() < 0.3 else None
        question = plain_question(rng)
        messages.append({"role": "user", "content": _noisy(rng, out_of_reach or question.text)})
        answer = UNKNOWN if out_of_reach else question.answer
        messages.append({"role": "assistant", "content": answer} | ({"reasoning": thought(answer)} if thinks else {}))
    return messages, tools


def _add_calls(rng: Random, messages: list[dict[str, Any]], wanted: Need, thinks: bool) -> None:
    made = call_message(rng, wanted.calls, given=rng.random() < 0.12)
    ends_at_call = thinks and rng.random() < 0.6
    if ends_at_call:
        messages.append(call_message(rng, wanted.calls) | {"reasoning": wanted.thought})
        return
    messages.append(made)
    messages += [{"role": "tool", "content": call.result} for call in wanted.calls]
    messages.append({"role": "assistant", "content": " ".join(call.sentence for call in wanted.calls)} | ({"reasoning": "I have the result."} if thinks else {}))

"""The shop's orders, as its own system would give them."""

ORDERS = {
    "50118": ("grinder", "sent", "Tuesday"),
    "50127": ("kettle", "packed", "Friday"),
    "50133": ("espresso beans", "delivered", "Monday"),
    "50142": ("milk frother", "lost", "Thursday"),
    "50156": ("paper filters", "sent", "Wednesday"),
    "50169": ("scale", "delivered", "Saturday"),
    "50174": ("travel mug", "packed", "Monday"),
    "50188": ("descaler", "sent", "Friday"),
    "50191": ("espresso machine", "packed", "Thursday"),
    "50203": ("filter coffee", "delivered", "Wednesday"),
    "50217": ("tamper", "sent", "Monday"),
    "50224": ("water tank", "lost", "Tuesday"),
    "50236": ("glass carafe", "sent", "Saturday"),
    "50245": ("decaf beans", "packed", "Wednesday"),
    "50259": ("brush", "delivered", "Friday"),
    "50262": ("hand grinder", "sent", "Thursday"),
    "50278": ("espresso cups", "lost", "Monday"),
    "50284": ("seal ring", "packed", "Tuesday"),
    "50295": ("cold brew set", "delivered", "Thursday"),
    "50307": ("milk jug", "sent", "Friday"),
    "50316": ("green beans", "packed", "Saturday"),
    "50328": ("drip tray", "delivered", "Tuesday"),
    "50339": ("moka pot", "sent", "Wednesday"),
    "50344": ("gift card", "delivered", "Monday"),
    "50351": ("timer", "lost", "Friday"),
    "50367": ("portafilter", "packed", "Monday"),
    "50372": ("cleaning tablets", "sent", "Tuesday"),
    "50386": ("thermos", "delivered", "Wednesday"),
    "50398": ("house blend", "packed", "Friday"),
    "50405": ("knock box", "sent", "Saturday"),
}


def find(number: str | None) -> dict[str, str | bool]:
    """Return what the shop knows of an order; `found` is false where there is none of this number."""
    item, state, day = ORDERS.get(number or "", ("", "", ""))
    return {"found": number in ORDERS, "item": item, "state": state, "day": day}


def ask(number: str | None) -> str:
    """Return the sentence for a customer whose order is not found."""
    if not number:
        return "Which order is it? Please send us its number."
    return f"We have no order {number}. Please check the number."

"""The facts of the closed set: plain tables, one row a fact.

Kept apart from corpus.py so that a wrong fact is found and mended in one place. Country names carry
their article ("the Netherlands") because every sentence that uses them needs it.
"""

from __future__ import annotations

_COUNTRIES = """
Africa: Algeria=Algiers; Angola=Luanda; Benin=Porto-Novo; Botswana=Gaborone; Burkina Faso=Ouagadougou;
Burundi=Gitega; Cameroon=Yaounde; Cape Verde=Praia; the Central African Republic=Bangui; Chad=N'Djamena;
the Comoros=Moroni; Djibouti=Djibouti City; Egypt=Cairo; Equatorial Guinea=Malabo; Eritrea=Asmara;
Eswatini=Mbabane; Ethiopia=Addis Ababa; Gabon=Libreville; the Gambia=Banjul; Ghana=Accra; Guinea=Conakry;
Guinea-Bissau=Bissau; Ivory Coast=Yamoussoukro; Kenya=Nairobi; Lesotho=Maseru; Liberia=Monrovia; Libya=Tripoli;
Madagascar=Antananarivo; Malawi=Lilongwe; Mali=Bamako; Mauritania=Nouakchott; Mauritius=Port Louis;
Morocco=Rabat; Mozambique=Maputo; Namibia=Windhoek; Niger=Niamey; Nigeria=Abuja; Rwanda=Kigali;
Senegal=Dakar; the Seychelles=Victoria; Sierra Leone=Freetown; Somalia=Mogadishu; South Africa=Pretoria;
South Sudan=Juba; Sudan=Khartoum; Tanzania=Dodoma; Togo=Lome; Tunisia=Tunis; Uganda=Kampala; Zambia=Lusaka;
Zimbabwe=Harare
Asia: Afghanistan=Kabul; Armenia=Yerevan; Azerbaijan=Baku; Bahrain=Manama; Bangladesh=Dhaka; Bhutan=Thimphu;
Brunei=Bandar Seri Begawan; Cambodia=Phnom Penh; China=Beijing; Georgia=Tbilisi; India=New Delhi;
Indonesia=Jakarta; Iran=Tehran; Iraq=Baghdad; Israel=Jerusalem; Japan=Tokyo; Jordan=Amman; Kazakhstan=Astana;
Kuwait=Kuwait City; Kyrgyzstan=Bishkek; Laos=Vientiane; Lebanon=Beirut; Malaysia=Kuala Lumpur; the Maldives=Male;
Mongolia=Ulaanbaatar; Myanmar=Naypyidaw; Nepal=Kathmandu; North Korea=Pyongyang; Oman=Muscat; Pakistan=Islamabad;
the Philippines=Manila; Qatar=Doha; Saudi Arabia=Riyadh; South Korea=Seoul; Sri Lanka=Colombo; Syria=Damascus;
Taiwan=Taipei; Tajikistan=Dushanbe; Thailand=Bangkok; Turkey=Ankara; Turkmenistan=Ashgabat;
the United Arab Emirates=Abu Dhabi; Uzbekistan=Tashkent; Vietnam=Hanoi; Yemen=Sanaa
Europe: Albania=Tirana; Andorra=Andorra la Vella; Austria=Vienna; Belarus=Minsk; Belgium=Brussels;
Bosnia=Sarajevo; Bulgaria=Sofia; Croatia=Zagreb; Cyprus=Nicosia; the Czech Republic=Prague; Denmark=Copenhagen;
Estonia=Tallinn; Finland=Helsinki; France=Paris; Germany=Berlin; Greece=Athens; Hungary=Budapest;
Iceland=Reykjavik; Ireland=Dublin; Italy=Rome; Kosovo=Pristina; Latvia=Riga; Liechtenstein=Vaduz;
Lithuania=Vilnius; Luxembourg=Luxembourg City; Malta=Valletta; Moldova=Chisinau; Montenegro=Podgorica;
the Netherlands=Amsterdam; North Macedonia=Skopje; Norway=Oslo; Poland=Warsaw; Portugal=Lisbon; Romania=Bucharest;
Russia=Moscow; Serbia=Belgrade; Slovakia=Bratislava; Slovenia=Ljubljana; Spain=Madrid; Sweden=Stockholm;
Switzerland=Bern; Ukraine=Kyiv; the United Kingdom=London
North America: Antigua and Barbuda=Saint John's; the Bahamas=Nassau; Barbados=Bridgetown; Belize=Belmopan;
Canada=Ottawa; Costa Rica=San Jose; Cuba=Havana; Dominica=Roseau; the Dominican Republic=Santo Domingo;
El Salvador=San Salvador; Grenada=Saint George's; Guatemala=Guatemala City; Haiti=Port-au-Prince;
Honduras=Tegucigalpa; Jamaica=Kingston; Mexico=Mexico City; Nicaragua=Managua; Panama=Panama City;
Saint Lucia=Castries; Trinidad and Tobago=Port of Spain; the United States=Washington
South America: Argentina=Buenos Aires; Bolivia=Sucre; Brazil=Brasilia; Chile=Santiago; Colombia=Bogota;
Ecuador=Quito; Guyana=Georgetown; Paraguay=Asuncion; Peru=Lima; Suriname=Paramaribo; Uruguay=Montevideo;
Venezuela=Caracas
Oceania: Australia=Canberra; Fiji=Suva; Kiribati=Tarawa; the Marshall Islands=Majuro; Nauru=Yaren;
New Zealand=Wellington; Palau=Ngerulmud; Papua New Guinea=Port Moresby; Samoa=Apia; the Solomon Islands=Honiara;
Tonga=Nuku'alofa; Tuvalu=Funafuti; Vanuatu=Port Vila
"""

_COLOURS = """
the sky=blue; the sea=blue; grass=green; snow=white; milk=white; coal=black; the sun=yellow; blood=red;
a banana=yellow; a lemon=yellow; a carrot=orange; an orange=orange; a tomato=red; a strawberry=red; a cherry=red;
a leaf=green; a frog=green; a cucumber=green; a raven=black; the night=black; a swan=white; salt=white; sugar=white;
chocolate=brown; coffee=brown; wood=brown; a bear=brown; an elephant=grey; a mouse=grey; a rain cloud=grey;
a flamingo=pink; a pig=pink; a plum=purple; a violet=purple; gold=yellow; a fire engine=red; a pumpkin=orange;
a cloud=white; a polar bear=white; a crow=black; a pea=green; honey=yellow; chalk=white; a fox=red
"""

_OPPOSITES = """
hot cold; big small; up down; left right; day night; black white; fast slow; happy sad; old new; rich poor; hard soft;
high low; long short; light dark; open closed; full empty; wet dry; clean dirty; early late; good bad; loud quiet;
strong weak; thick thin; near far; first last; begin end; push pull; win lose; buy sell; give take; love hate;
true false; yes no; in out; over under; inside outside; summer winter; north south; east west; rise fall;
brave afraid; tall tiny; sweet sour; sharp blunt; smooth rough; wide narrow; deep shallow; asleep awake; alive dead;
cheap expensive; simple complex; always never; question answer; friend enemy; peace war; front back; top bottom
"""

_SOUNDS = """
cow=moo; dog=woof; cat=meow; sheep=baa; duck=quack; pig=oink; lion=roar; frog=croak; owl=hoot; bee=buzz; snake=hiss;
mouse=squeak; horse=neigh; wolf=howl; chick=cheep; crow=caw
"""

_SPELL_WORDS = """
cat dog fox bird fish tree house river stone cloud apple bread water green table chair light night music happy garden
winter summer spring market bridge forest yellow orange purple window pencil doctor teacher school island planet rocket
silver golden monkey rabbit turtle dragon castle engine server token model block cache prompt answer letter number
"""

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
PLANETS = "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune".split()
RAINBOW = "red orange yellow green blue indigo violet".split()
SEASONS = "spring summer autumn winter".split()
CONTINENTS = ["Africa", "Antarctica", "Asia", "Australia", "Europe", "North America", "South America"]
ALPHABET = [chr(code) for code in range(ord("A"), ord("Z") + 1)]

NAMES = """
Ada Tom Anna Ben Clara David Emma Felix Grace Henry Iris Jack Kate Leo Mia Noah Olga Paul Rosa Sam Tina Victor Wendy
Max Lucy Oscar Nina Peter Laura Simon Julia Martin Sofia George Alice Robert Helen Frank Maria Daniel Sarah James Linda
Michael Karen Thomas Nancy Charles Lisa Mark Betty Alan Marie Kurt Rex Bella Luna Milo Otto Nova Atlas Echo Orion
""".split()

FAVOURITE_COLOURS = "red blue green yellow orange purple pink brown black white grey silver gold".split()
FAVOURITE_FOODS = "bread soup rice pasta pizza cheese apples honey chocolate salad fish cake noodles beans".split()
PETS = "dog cat rabbit parrot horse hamster turtle goldfish".split()
WORDS = """
blue river stone cloud apple green table light music garden winter bridge forest window island rocket silver castle
engine letter small quiet happy bright seven open door warm bread night early moon paper road star field wind sand lamp
""".split()


def _pairs(table: str) -> dict[str, str]:
    """Rows of `key=value` parted by semicolons, whatever the line breaks."""
    rows = (row.split("=") for row in " ".join(table.split()).split(";") if row.strip())
    return {key.strip(): value.strip() for key, value in rows}


def _countries() -> tuple[dict[str, str], dict[str, str]]:
    """Country to capital, and country to continent."""
    capitals: dict[str, str] = {}
    continents: dict[str, str] = {}
    sections = [(name, _COUNTRIES.index(name + ":")) for name in ("Africa", "Asia", "Europe", "North America", "South America", "Oceania")]
    ends = [start for _, start in sections[1:]] + [len(_COUNTRIES)]
    for (name, start), end in zip(sections, ends):
        rows = _pairs(_COUNTRIES[start + len(name) + 1 : end].replace("\n", " ").rstrip() + ";")
        capitals.update(rows)
        continents.update({country: name for country in rows})
    return capitals, continents


CAPITALS, CONTINENT_OF = _countries()
COLOUR_OF = _pairs(_COLOURS)
SOUND_OF = _pairs(_SOUNDS)
SPELL_WORDS = _SPELL_WORDS.split()
OPPOSITE_PAIRS: list[tuple[str, str]] = [tuple(row.split()) for row in " ".join(_OPPOSITES.split()).split(";")]  # type: ignore[misc]
OPPOSITE_OF = {**{a: b for a, b in OPPOSITE_PAIRS}, **{b: a for a, b in OPPOSITE_PAIRS}}

from __future__ import annotations
import sys, re, time, collections
sys.path.insert(0, __file__.rsplit("/",1)[0])
import judge
from judge.students import WRONG, RIGHT
from npformer import check
from npformer.teach.mistakes import EXERCISES
GENERIC = {"exception","argument modified","nothing returned","number of results","not an array","axes in another order","shape","dtype","not finite","wrong sign","constant factor","border","batch","constant offset","offset per channel","order","values"}
half = sys.argv[1] if len(sys.argv) > 1 else "tune"
c = collections.Counter(); worst = 0
print(len(WRONG), len(RIGHT), {n: sum(a.layer==n for a in WRONG) for n in EXERCISES})
for a in RIGHT:
    t=time.perf_counter(); r = check(a.layer, a.function); worst=max(worst,time.perf_counter()-t)
    if not r: print("REFUSED", a.layer, a.cause, "->", r.mistake, r.hint[:150])
print("right: worst time", worst)
for a in WRONG:
    if a.kept_back != (half == "back"): continue
    t=time.perf_counter()
    try: r = check(a.layer, a.function)
    except Exception as e: print("RAISES", a.layer, a.cause, repr(e)); c["raises"]+=1; continue
    t=time.perf_counter()-t
    text = f"{r.mistake}. {r.hint}"
    if r: s="PASSED"
    elif "there is more" in text or r.mistake == "values": s="unnamed"
    elif re.search(a.says, text, re.I): s="named" if r.mistake not in GENERIC else "described"
    else: s="other"
    c[s]+=1
    if "-v" in sys.argv or s not in("named",): print(f"{s:9} {t:.2f}s {a.layer}: {a.cause} -> {text[:200]}")
print(c)

"""Numbers of the simulated league, measured on real seasons: 609,752 attempts of 2016-17, 2017-18 and 2019-20.

How they were measured. The three seasons of the archive were pooled. Attempts filed at the rim's placeholder,
(0, 1) in 2016-17 and (0, -6) later, in tenths of a foot, keep their zone, action and result and were given the
distance of a random attempt with the same action, because they hold most tips and dunks of a season. Put-backs
(the four labels of `PUTBACK_SHARES`) and heaves (backcourt) are drawn apart from all other attempts, so the
tables of places and actions leave them out. Make rates are shrunk towards an additive model of action and
distance with the weight of 80 attempts, so that thin cells stay plausible. Effects on the logit scale are sums
of (made - expected) over sums of p (1 - p), expected from action and distance alone; standard deviations between
players and defences are the excess of those over chance, by the method of moments.
"""

from __future__ import annotations

import numpy as np

from parivision.court import FloatArray

# Families of places, in this order everywhere; the backcourt stands apart.
FAMILIES = ("rim", "paint", "mid", "corner", "arc")

# Share of each family, and of each whole foot within it, from the first foot given on (parts of 10,000).
FAMILY_SHARES = {"rim": 0.2941, "paint": 0.1590, "mid": 0.1912, "corner": 0.0812, "arc": 0.2745}
FOOT_SHARES: dict[str, tuple[int, list[int]]] = {
    "rim": (0, [2091, 4023, 2657, 1229]),
    "paint": (4, [1593, 1448, 1404, 1274, 985, 745, 628, 571, 582, 473, 217, 78]),
    "mid": (8, [163, 288, 345, 388, 420, 484, 718, 958, 1095, 1132, 1151, 1075, 838, 566, 303, 75]),
    "corner": (22, [3020, 5358, 1521, 101]),
    "arc": (23, [83, 2241, 3965, 2210, 852, 330, 137, 65, 32, 19, 13, 9, 7, 6, 4, 5, 4, 6, 5]),
}

# Angle off the straight line to the hoop, either side, in degrees: quantiles of |angle| at ANGLE_LEVELS for each
# (family, first foot of the band).
ANGLE_LEVELS = np.array([0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1])
ANGLE_QUANTILES: dict[tuple[str, int], list[int]] = {
    ("rim", 0): [0, 0, 8, 18, 27, 40, 49, 63, 77, 90, 117, 146, 180],
    ("rim", 1): [0, 4, 8, 15, 25, 34, 43, 53, 63, 76, 90, 103, 172],
    ("rim", 2): [0, 4, 7, 16, 27, 37, 47, 56, 63, 72, 85, 92, 133],
    ("rim", 3): [0, 3, 5, 13, 22, 32, 41, 49, 58, 66, 76, 84, 110],
    ("paint", 4): [0, 2, 4, 9, 15, 24, 34, 44, 54, 64, 75, 82, 103],
    ("paint", 6): [0, 2, 4, 8, 16, 25, 35, 45, 56, 67, 78, 84, 102],
    ("paint", 8): [0, 1, 2, 6, 10, 16, 22, 29, 36, 44, 52, 60, 81],
    ("paint", 11): [0, 1, 2, 4, 8, 13, 18, 22, 25, 29, 33, 36, 45],
    ("paint", 14): [10, 17, 20, 23, 25, 26, 27, 28, 29, 30, 31, 32, 34],
    ("mid", 8): [49, 56, 60, 65, 70, 74, 77, 80, 83, 86, 90, 94, 106],
    ("mid", 11): [1, 43, 46, 53, 59, 64, 70, 76, 81, 85, 90, 93, 104],
    ("mid", 14): [0, 2, 4, 12, 23, 35, 44, 54, 65, 77, 86, 90, 99],
    ("mid", 17): [0, 3, 6, 14, 22, 29, 34, 40, 47, 58, 79, 87, 97],
    ("mid", 20): [0, 2, 5, 12, 20, 26, 32, 38, 45, 56, 77, 87, 96],
    ("mid", 22): [0, 2, 4, 12, 20, 25, 30, 35, 41, 49, 60, 67, 82],
    ("corner", 22): [75, 80, 82, 84, 85, 87, 88, 89, 90, 91, 93, 94, 98],
    ("corner", 23): [69, 74, 76, 80, 82, 84, 86, 87, 89, 90, 92, 94, 98],
    ("corner", 24): [69, 70, 71, 72, 74, 76, 79, 83, 86, 89, 91, 94, 98],
    ("arc", 23): [0, 3, 6, 14, 21, 27, 33, 39, 44, 51, 59, 64, 69],
    ("arc", 25): [0, 2, 5, 13, 20, 25, 30, 35, 40, 46, 54, 59, 69],
    ("arc", 26): [0, 2, 5, 13, 19, 24, 28, 32, 36, 41, 47, 52, 65],
    ("arc", 28): [0, 2, 4, 12, 18, 23, 26, 30, 33, 36, 41, 44, 54],
    ("arc", 31): [0, 0, 1, 6, 13, 18, 22, 25, 28, 31, 34, 38, 48],
}
RIGHT_SHARE = {"rim": 0.53, "paint": 0.52, "mid": 0.50, "corner": 0.483, "arc": 0.49}

# Actions: the labels that hold over 0.2 % of all attempts. Columns are the knots below, in feet; between two knots
# of one group (two-pointers, corner, above the break) values are read off a straight line.
TWO_KNOTS_FT = np.array([0.5, 1.5, 2.5, 3.5, 5, 7, 9, 11.5, 14.5, 17.5, 20.5, 22.7])
ARC_KNOTS_FT = np.array([24.2, 25.5, 27.5, 30, 36])
CORNER_COLUMN = len(TWO_KNOTS_FT)

# Of 1,000 attempts at the knot, how many carry the label.
_ACTION_SHARES = """
Jump Shot                       |  1   2   7 104 152 166 180 234 357 467 554 630 940 838 820 808 749 644
Pullup Jump shot                |  0   0   1   5  17  36  76 154 278 341 312 233  14  95 106 118 160 141
Driving Layup Shot              |203 254 297 253 135  60  21   5   1   0   0   0   0   0   0   0   0   0
Layup Shot                      |165 203 245 158  73  29  11   3   1   0   0   0   0   0   0   0   0   0
Step Back Jump shot             |  0   0   0   0   1   5  17  44  81  87  89 101  27  40  44  41  31  12
Driving Floating Jump Shot      |  2   4  11  50 105 143 152 122  40   6   1   0   0   0   0   0   0   5
Floating Jump shot              |  1   2   5  28  83 121 142 113  43   9   3   1   0   1   0   0   0   6
Cutting Layup Shot              | 76  84  75  48  18   7   2   0   0   0   0   0   0   0   0   0   0   0
Running Layup Shot              | 71  74  66  39  15   7   3   1   0   0   0   0   0   0   0   0   0   0
Hook Shot                       |  2   6  17  63 121 119  67  21   3   0   0   0   0   0   0   0   0   1
Driving Finger Roll Layup Shot  | 46  56  57  47  22   9   4   1   0   0   0   0   0   0   0   0   0   0
Turnaround Jump Shot            |  1   1   3  15  38  57  75  75  54  21   9   4   1   1   1   1   2   6
Fadeaway Jump Shot              |  0   0   0   3  12  29  59  80  68  39  18  13   4   1   1   2   3   1
Cutting Dunk Shot               | 88  47  22   9   1   0   0   0   0   0   0   0   0   0   0   0   0   0
Dunk Shot                       | 71  48  24   8   1   0   0   0   0   0   0   0   0   0   0   0   0   0
Turnaround Fadeaway shot        |  0   0   0   1   8  23  51  77  48  16   3   2   0   0   0   0   1   3
Turnaround Hook Shot            |  1   2   8  29  58  68  47  17   3   0   0   0   0   0   0   0   0   0
Driving Reverse Layup Shot      | 33  40  31  14   4   0   0   0   0   0   0   0   0   0   0   0   0   0
Reverse Layup Shot              | 32  35  29  11   2   1   0   0   0   0   0   0   0   0   0   0   0   0
Alley Oop Dunk Shot             | 56  30  14   6   1   0   0   0   0   0   0   0   0   0   0   0   0   0
Driving Floating Bank Jump Shot |  1   3   9  25  40  42  36  21   5   1   0   0   0   0   0   0   0   2
Running Jump Shot               |  0   1   1   9  15  15  14   9   4   3   2   5  13  12  14  13  22 102
Driving Dunk Shot               | 53  29  14   6   1   1   0   0   0   0   0   0   0   0   0   0   0   0
Running Dunk Shot               | 49  27  11   5   1   0   0   0   0   0   0   0   0   0   0   0   0   0
Driving Hook Shot               |  1   2   6  24  43  36  22   6   1   0   0   0   0   0   0   0   0   0
Jump Bank Shot                  |  0   1   3  11  19  20  17  14  10   5   3   3   1   2   3   3  10  16
Alley Oop Layup shot            | 17  17  16   9   2   1   0   0   0   0   0   0   0   0   0   0   0   0
Running Pull-Up Jump Shot       |  0   0   0   1   1   2   2   4   5   4   5   7   1   8  10  13  21  61
Running Finger Roll Layup Shot  | 15  13  11   6   2   0   0   0   0   0   0   0   0   0   0   0   0   0
Finger Roll Layup Shot          |  7   9  10   9   4   1   1   0   0   0   0   0   0   0   0   0   0   0
Cutting Finger Roll Layup Shot  |  9   9   9   5   2   0   0   0   0   0   0   0   0   0   0   0   0   0
"""

# Of 1,000 attempts with the label at the knot, how many go in.
_ACTION_MADE = """
Jump Shot                       |629 439 337 189 209 237 280 317 353 357 359 352 385 356 347 328 294 108
Pullup Jump shot                |808 682 520 520 490 457 467 478 469 471 453 403 550 417 401 395 355 200
Driving Layup Shot              |697 596 478 347 251 224 199 239 276 322 310 297 315 294 286 271 243  96
Layup Shot                      |561 493 387 315 226 205 217 208 265 246 242 224 239 222 215 203 180  68
Step Back Jump shot             |796 700 579 463 443 418 463 468 469 444 423 413 418 409 398 381 356 139
Driving Floating Jump Shot      |678 503 431 415 440 435 440 432 421 365 378 390 405 403 353 340 324 132
Floating Jump shot              |716 556 461 469 450 450 431 429 396 402 371 382 431 355 401 353 338 132
Cutting Layup Shot              |837 782 687 550 424 419 474 563 540 551 532 503 524 499 490 471 434 203
Running Layup Shot              |772 689 591 449 357 354 346 409 426 420 429 380 415 391 382 364 331 141
Hook Shot                       |706 585 520 472 444 422 377 382 372 436 415 387 412 389 370 362 328 138
Driving Finger Roll Layup Shot  |790 716 627 531 443 422 425 466 473 470 467 439 460 435 426 407 372 165
Turnaround Jump Shot            |696 620 504 491 453 428 436 415 394 411 418 351 377 338 362 323 317 137
Fadeaway Jump Shot              |761 668 493 429 439 394 424 405 411 421 407 322 370 304 325 345 311 129
Cutting Dunk Shot               |967 948 912 827 758 812 855 855 855 856 847 832 843 829 824 813 789 555
Dunk Shot                       |914 878 798 721 583 654 675 693 710 701 697 664 682 661 652 635 600 333
Turnaround Fadeaway shot        |801 707 559 448 468 486 470 439 454 435 416 384 428 401 401 369 336 146
Turnaround Hook Shot            |794 696 577 495 520 500 420 444 402 468 471 449 469 445 436 417 382 170
Driving Reverse Layup Shot      |679 629 522 383 310 316 345 364 365 362 350 324 343 321 313 297 267 108
Reverse Layup Shot              |703 651 545 408 277 375 354 381 382 385 372 346 365 343 334 317 286 118
Alley Oop Dunk Shot             |927 883 817 717 665 702 714 730 731 717 703 687 705 684 676 659 625 357
Driving Floating Bank Jump Shot |831 691 592 606 565 538 493 542 494 504 539 494 515 509 470 463 421 209
Running Jump Shot               |814 670 533 479 412 401 428 449 455 487 494 465 494 445 436 422 345  98
Driving Dunk Shot               |918 850 762 583 509 565 624 657 662 656 644 617 636 613 604 586 550 289
Running Dunk Shot               |971 951 925 881 869 846 870 877 874 873 867 853 863 851 847 836 815 595
Driving Hook Shot               |766 669 530 509 493 507 453 488 456 501 481 452 473 443 439 421 385 173
Jump Bank Shot                  |834 725 655 629 526 514 518 505 479 504 561 482 447 544 522 506 413 216
Alley Oop Layup shot            |720 638 589 421 374 358 384 411 410 402 387 360 380 357 348 331 299 124
Running Pull-Up Jump Shot       |830 755 636 532 515 556 514 562 552 530 538 467 527 485 441 392 366 218
Running Finger Roll Layup Shot  |887 800 769 598 563 578 577 618 614 617 599 571 592 568 558 539 503 252
Finger Roll Layup Shot          |774 716 619 546 464 466 402 484 491 482 468 440 461 436 427 408 373 165
Cutting Finger Roll Layup Shot  |904 891 823 738 672 689 714 724 729 723 712 688 706 685 677 660 626 358
"""

# How often guards, forwards and centers use the label, in percent of what their places alone would suggest.
_ACTION_POSITIONS = """
Jump Shot                       | 90 107 129
Pullup Jump shot                |136  77  17
Driving Layup Shot              |147  91  32
Layup Shot                      | 73 106 138
Step Back Jump shot             |124  84  42
Driving Floating Jump Shot      |158  80  19
Floating Jump shot              |131  76  75
Cutting Layup Shot              | 71 109 136
Running Layup Shot              |144 101  23
Hook Shot                       | 13  83 267
Driving Finger Roll Layup Shot  |162  80  24
Turnaround Jump Shot            | 57 136 134
Fadeaway Jump Shot              |102 117  60
Cutting Dunk Shot               | 27 114 198
Dunk Shot                       | 22 102 227
Turnaround Fadeaway shot        | 60 141 124
Turnaround Hook Shot            | 17  86 262
Driving Reverse Layup Shot      |153  85  31
Reverse Layup Shot              | 80 112 117
Alley Oop Dunk Shot             | 17  81 263
Driving Floating Bank Jump Shot |152  90  22
Running Jump Shot               |112 100  51
Driving Dunk Shot               | 78 135  85
Running Dunk Shot               | 86 141  60
Driving Hook Shot               | 51 115 160
Jump Bank Shot                  | 91 104 115
Alley Oop Layup shot            | 38  98 208
Running Pull-Up Jump Shot       |139  67  12
Running Finger Roll Layup Shot  |148  99  21
Finger Roll Layup Shot          | 96 104 101
Cutting Finger Roll Layup Shot  | 78 102 134
"""


def _table(text: str) -> tuple[tuple[str, ...], FloatArray]:
    """Labels and numbers of a table written as ``label | number number ...``."""
    rows = [line.split("|") for line in text.strip().splitlines()]
    return tuple(name.strip() for name, _ in rows), np.array([numbers.split() for _, numbers in rows], dtype=float)


ACTIONS, _shares = _table(_ACTION_SHARES)
ACTION_SHARES = _shares / _shares.sum(axis=0)  # shape (actions, knots)
ACTION_MADE = _table(_ACTION_MADE)[1] / 1000
ACTION_POSITIONS = _table(_ACTION_POSITIONS)[1] / 100  # columns G, F, C

# Put-backs: attempts within seconds of a team-mate's or one's own miss. Cells, actions and results by whole foot.
PUTBACK_FOOT_SHARES = np.array([0.2933, 0.4507, 0.2017, 0.0395, 0.0080, 0.0068])  # feet 0 to 5
PUTBACK_KNOTS_FT = np.array([0.5, 1.5, 2.5, 3.5, 5.0])
PUTBACK_SHARES = {
    "Tip Layup Shot": [0.580, 0.559, 0.491, 0.400, 0.260],
    "Putback Layup Shot": [0.268, 0.312, 0.363, 0.496, 0.726],
    "Putback Dunk Shot": [0.095, 0.076, 0.061, 0.038, 0.006],
    "Tip Dunk Shot": [0.057, 0.053, 0.085, 0.066, 0.008],
}
PUTBACK_MADE = {
    "Tip Layup Shot": [0.507, 0.484, 0.459, 0.440, 0.280],
    "Putback Layup Shot": [0.763, 0.719, 0.670, 0.567, 0.500],
    "Putback Dunk Shot": [0.910, 0.906, 0.866, 0.830, 0.800],
    "Tip Dunk Shot": [0.818, 0.822, 0.814, 0.811, 0.660],
}
# Chance that a miss is put back, by the place of the miss; the last is a missed put-back.
PUTBACK_AFTER_MISS = {"rim": 0.139, "paint": 0.094, "mid": 0.048, "corner": 0.039, "arc": 0.031, "putback": 0.165}
PUTBACK_DELAY_SHARES = np.array([0.014, 0.195, 0.22, 0.17, 0.15, 0.115, 0.07, 0.066])  # 0 to 7 s after the miss
PUTBACK_POSITIONS = {"G": 0.28, "F": 1.05, "C": 2.8}  # weight beside a player's other attempts

# The clock: first second of each step, how it moves the choice of place, and how it moves the logit.
CLOCK_STEPS_S = np.array([0, 1, 2, 6, 31, 121])
CLOCK_PLACES = {
    "rim": [0.56, 0.73, 0.95, 1.02, 1.03, 1.0],
    "paint": [0.62, 0.73, 0.80, 0.83, 0.95, 1.0],
    "mid": [0.98, 1.05, 0.88, 0.82, 0.93, 1.0],
    "corner": [0.78, 0.85, 0.95, 1.08, 1.02, 1.0],
    "arc": [1.85, 1.50, 1.30, 1.15, 1.03, 1.0],
}
CLOCK_LOGIT = np.array([-0.60, -0.51, -0.21, -0.10, -0.01, 0.01])
PERIOD_LOGIT = np.array([0.024, 0.003, -0.004, -0.034, -0.16])  # periods 1 to 4, then every overtime
HOME_LOGIT = 0.016  # at home; the same with a minus sign away

# Seconds between two attempts that are no put-backs: gamma, this shape; the mean follows from the attempts of a game.
GAP_SHAPE = 4.7
PERIOD_PACE = np.array([1.045, 1.005, 0.985, 0.95, 0.85])  # periods 1 to 4, then every overtime
USUAL_SHARE_A_PERIOD = 0.2403  # attempts of a period by usual gaps, as a share of a game's: the rest are put-backs,
# last shots and overtimes
EVENTS_BETWEEN_SHOTS = 1.7  # rebounds, fouls, time-outs, substitutions: they take up event ids
SAME_TEAM_AGAIN = 0.24  # chance that the team of the last attempt shoots the next
ATTEMPTS_PER_GAME = 172.5  # both teams; standard deviation 10.9, of which PACE_SD is the game's own pace
PACE_SD = 0.048
OVERTIME_CHANCE = 0.058  # after four periods, and again after each overtime

# The last shot of a period: its chance, its second, and how often it is a heave from the backcourt.
BUZZER_CHANCE = 0.72
BUZZER_SECOND_SHARES = np.array([0.59, 0.21, 0.10, 0.06, 0.04])
HEAVE_CHANCE = {0: 0.27, 1: 0.08}  # by second, periods 1 to 3
HEAVE_LATE_FACTOR = 0.17  # in period 4 and overtimes a game is decided, or a better shot wanted
HEAVE_MADE = 0.0154
HEAVE_Y_FT = np.array([42, 48, 54, 63, 86])  # quartiles
HEAVE_X_SD_FT = 8.0
BUZZER_HELD_S = (1.0, 22.0)  # seconds before the end in which no other attempt comes, where there is a last one
LAST_SECOND_S = 2  # below this many seconds, threes come from further: their log weight grows by the tilt a foot
LAST_SECOND_TILT = 0.12

# Between players of one position, and between defences, on the logit scale.
SKILL_SD = {"rim": 0.17, "paint": 0.19, "mid": 0.15, "corner": 0.12, "arc": 0.10}
DEFENCE_SD = {"rim": 0.12, "paint": 0.10, "mid": 0.064, "corner": 0.042, "arc": 0.03}
POSITION_LOGIT = {
    "G": {"rim": -0.070, "paint": -0.046, "mid": -0.041, "corner": 0.028, "arc": 0.004},
    "F": {"rim": -0.004, "paint": 0.002, "mid": -0.031, "corner": -0.016, "arc": -0.006},
    "C": {"rim": 0.115, "paint": 0.092, "mid": 0.128, "corner": -0.099, "arc": -0.007},
}
# What clock, period, angle and the spread of skills move the level of each family on average, taken back.
LEVEL_LOGIT = {"rim": 0.049, "paint": 0.027, "mid": -0.005, "corner": 0.003, "arc": 0.011}
ANGLE_LOGIT = 0.06  # two-pointers: a wave, best straight on and along the baseline, worst at 45 degrees
ARC_ANGLE_LOGIT = 0.06  # above the break: what the widest places gain on the straightest

# Slow change: what one unit of drift a season does to the log share of a family and to the logit. One tenth is about
# the pace from 2016-17 to 2019-20 (mid-range 22 % to 13 % of attempts, rim 61 % to 64 % made).
DRIFT_SHARES = {"rim": 0.0, "paint": 0.4, "mid": -1.7, "corner": 0.5, "arc": 0.7}
DRIFT_LOGIT = {"rim": 0.35, "paint": -0.2, "mid": 0.0, "corner": 0.0, "arc": 0.0}

"""The betting market: what BetsAPI says of real games and their prices, beside what the stored shots say."""

def case(seed, reference, folder):
    pass

/** @file How the linear maps of a model can be stored and multiplied. */

/** `float32` as the checkpoint has them; the others as whole numbers of at most so many bits. */
export const WEIGHT_FORMS = ["float32", "int8", "int4"] as const;

export type WeightForm = (typeof WEIGHT_FORMS)[number];
